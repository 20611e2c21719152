import type { StoredEvent } from "@gantry/protocol/event.ts";
import { SeedLines } from "@gantry/protocol/seed-lines.ts";
import type { SeedLine } from "@gantry/protocol/seed-lines.ts";

/** How a run is told in the seeds' lines. Plain data: it crosses from the Worker to the object. */
export interface SeedStory {
  readonly runId: string;
  readonly requestId: string;
  readonly verbose: boolean;
  /** `seq` of the last event that the client has heard of. */
  readonly from: number;
  readonly format: "ndjson" | "sse";
}

/** `seq` is where a client that was cut off reads on. */
const WRITERS: Readonly<Record<SeedStory["format"], (line: SeedLine, seq: number) => string>> = {
  ndjson: (line, seq) => `${JSON.stringify({ ...line, seq })}\n`,
  sse: (line, seq) => `event: ${line.type}\nid: ${seq}\ndata: ${JSON.stringify({ ...line, seq })}\n\n`,
};

/**
 * Tells a run of a session: for each line of its log, in order, what the client reads of it, which may be nothing. It is
 * told where the log is: the Worker passes the bytes on and is not woken for them.
 */
export function storyTeller(sessionId: string, story: SeedStory): (line: string) => string {
  const { runId, requestId, verbose, from } = story;
  const lines = new SeedLines({ sessionId, runId, requestId, verbose });
  const write = WRITERS[story.format];
  return (line) => {
    const event = JSON.parse(line) as StoredEvent;
    if (event.run_id !== runId) return ""; // the run before this one is still talking
    // What was said before is needed to know what is left to say.
    const told = lines.of(event);
    return event.seq > from ? told.map((each) => write(each, event.seq)).join("") : "";
  };
}

import type { StoredEvent } from "@gantry/protocol/event.ts";
import { StoryLines } from "@gantry/protocol/story-lines.ts";
import type { StoryLine } from "@gantry/protocol/story-lines.ts";
import { toServerSentEvent } from "./stream.ts";

/** How a run is told in the seeds' lines. Plain data: it crosses from the Worker to the object. */
export interface RunStory {
  readonly runId: string;
  readonly requestId: string;
  readonly verbose: boolean;
  /** `seq` of the last event that the client has heard of. */
  readonly from: number;
  readonly format: "ndjson" | "sse";
}

/**
 * Tells a run of a session: for each line of its log, in order, what the client reads of it, which may be nothing. It is
 * told where the log is: the Worker passes the bytes on and is not woken for them.
 */
export function storyTeller(sessionId: string, story: RunStory): (line: string) => string {
  const { runId, requestId, verbose, from, format } = story;
  const lines = new StoryLines({ sessionId, runId, requestId, verbose });
  return (line) => {
    const event = JSON.parse(line) as StoredEvent;
    if (event.run_id !== runId) return ""; // the run before this one is still talking
    // What was said before is needed to know what is left to say.
    const told = lines.of(event);
    if (event.seq <= from) return "";
    const write = (each: StoryLine): string => {
      const data = JSON.stringify({ ...each, seq: event.seq });
      return format === "sse" ? toServerSentEvent(each.type, event.seq, data) : `${data}\n`;
    };
    return told.map(write).join("");
  };
}

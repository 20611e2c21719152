import type { StoredEvent } from "@gantry/protocol/event.ts";
import { StoryLines } from "@gantry/protocol/story-lines.ts";
import type { StoryLine } from "@gantry/protocol/story-lines.ts";
import { toServerSentEvent } from "./stream.ts";

/** Which run to tell as story lines, and how. Plain data: it crosses from the Worker to the object. */
export interface RunStory {
  readonly runId: string;
  readonly requestId: string;
  readonly verbose: boolean;
  /** `seq` of the last event that the client has. */
  readonly from: number;
  readonly format: "ndjson" | "sse";
  /** Id of the key that opened the stream. The stream ends when the key does. */
  readonly keyId: string;
}

/**
 * Turns the lines of a session's log, in order, into the story lines of one run; a line may yield none. This happens in
 * the object that holds the log, so the Worker passes bytes through without waking for each line.
 */
export function storyTeller(sessionId: string, story: RunStory): (line: string) => string {
  const { runId, requestId, verbose, from, format } = story;
  const lines = new StoryLines({ sessionId, runId, requestId, verbose });
  return (line) => {
    const event = JSON.parse(line) as StoredEvent;
    if (event.run_id !== runId) return ""; // the run before this one is still talking
    // Earlier events are read too: later lines depend on what was already told.
    const told = lines.of(event);
    if (event.seq <= from) return "";
    const write = (each: StoryLine): string => {
      const data = JSON.stringify({ ...each, seq: event.seq });
      return format === "sse" ? toServerSentEvent(each.type, event.seq, data) : `${data}\n`;
    };
    return told.map(write).join("");
  };
}

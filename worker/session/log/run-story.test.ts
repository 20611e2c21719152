import { describe, expect, it } from "vitest";
import { storyTeller } from "./run-story.ts";

const event = (seq: number, type: string, payload: object, runId = "run_1"): string =>
  JSON.stringify({
    type,
    id: `event_${seq}`,
    seq,
    run_id: runId,
    processed_at: "2026-11-22T00:00:00.000Z",
    ...payload,
  });

const text = (value: string): object => ({ content: [{ type: "text", text: value }] });
const delta = (value: string): object => ({
  event_id: "event_4",
  delta: { type: "content_delta", content: { type: "text", text: value } },
});

const LOG = [
  event(1, "agent.message", text("of the run before"), "run_0"),
  event(2, "run.started", { model: "m", permission_mode: "default" }),
  event(3, "event_delta", delta("Hel")),
  event(4, "agent.message", text("Hello")),
  event(5, "session.status_idle", {}),
];

const told = (format: "ndjson" | "sse", from: number): string[] => {
  const story = { runId: "run_1", requestId: "req_1", verbose: false, from, format, keyId: "key_1" };
  return LOG.map(storyTeller("sesn_1", story)).filter((piece) => piece !== "");
};

describe("a run's story", () => {
  it("tells only this run, each text once, with the seq to resume from", () => {
    expect(told("ndjson", 0).map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { type: "status", status: "running", seq: 2 },
      { type: "assistant", content: "Hel", seq: 3 },
      { type: "assistant", content: "lo", seq: 4 },
    ]);
  });

  it("resumes for a client that was cut off", () => {
    expect(told("ndjson", 3).map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { type: "assistant", content: "lo", seq: 4 },
    ]);
  });

  it("is told as server-sent events with the seq as their ids", () => {
    expect(told("sse", 3)[0]).toMatch(/^event: assistant\nid: 4\ndata: \{"type":"assistant","content":"lo".*\}\n\n$/);
  });
});

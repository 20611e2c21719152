import { describe, expect, it } from "vitest";
import { chooseType, preferredWait } from "./accept.ts";

const OFFERED = ["text/plain", "application/x-ndjson", "text/event-stream", "application/json"] as const;

describe("the content type of an answer", () => {
  it.each([
    [undefined, "text/plain"],
    ["", "text/plain"],
    ["*/*", "text/plain"],
    ["text/event-stream", "text/event-stream"],
    ["Text/Event-Stream", "text/event-stream"],
    ["application/x-ndjson", "application/x-ndjson"],
    ["application/json", "application/json"],
    ["application/json, text/plain, */*", "text/plain"],
    ["application/json, text/plain;q=0.5", "application/json"],
    ["text/plain;q=0.1, */*;q=0.2", "application/x-ndjson"],
    ["text/*", "text/plain"],
    ["application/*", "application/x-ndjson"],
    ["text/html, text/event-stream;q=0.3", "text/event-stream"],
    ["*/*;q=0.1, text/plain;q=0", "application/x-ndjson"],
  ])("for %j is %s", (accept, type) => expect(chooseType(accept, OFFERED)).toBe(type));

  it.each(["text/html", "text/plain;q=0", "image/*", "nonsense"])(
    "is none for %j, and the error lists the offered types",
    (accept) => expect(() => chooseType(accept, OFFERED)).toThrow(/text\/plain, application\/x-ndjson/),
  );
});

describe("Prefer: wait", () => {
  it.each([
    [undefined, null],
    ["", null],
    ["respond-async", null],
    ["wait=10", 10],
    ["respond-async, wait=0", 0],
    ['wait="7"; foo', 7],
    ["WAIT = 5", 5],
    ["wait=soon", null],
    ["wait=-1", null],
    ["await=3", null],
    ["wait=999999", 3600],
  ])("of %j is %s", (prefer, seconds) => expect(preferredWait(prefer)).toBe(seconds));
});

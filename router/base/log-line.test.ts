import { describe, expect, it } from "vitest";
import { toLogLine } from "./log-line.ts";

describe("sec/M8 a line of the log has limits", () => {
  it("leaves an ordinary line as it is", () => {
    const entry = { at: "2026-11-21T12:00:00.000Z", from: "worker", event: "x", n: 1, none: null, tried: [{ ms: 2 }] };
    expect(toLogLine(entry)).toBe(JSON.stringify(entry));
  });

  const long = "x".repeat(3_000_000);
  it.each<[what: string, entry: Record<string, unknown>]>([
    ["a field", { event: "e", model: long }],
    ["a field inside a list", { event: "e", tried: [{ deployment: long }, { deployment: long }] }],
    ["a list", { event: "e", names: Array.from({ length: 100_000 }, () => "name") }],
    ["a field's name", { event: "e", [long]: 1 }],
    ["the event's name", { event: long, names: Array.from({ length: 100_000 }, () => "name") }],
  ])("%s", (_, entry) => {
    const line = toLogLine(entry);
    expect(line.length).toBeLessThan(20_000);
    const read = JSON.parse(line) as { event: string };
    expect(read.event.startsWith(String(entry["event"]).slice(0, 1_000))).toBe(true);
  });
});

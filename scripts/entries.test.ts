import { describe, expect, it } from "vitest";
import { bareEntries } from "./entries.ts";

describe("sec/H1 ways into the runner", () => {
  it.each([
    "void this.#end(spare);",
    "onExit: () => void kill().then(end),",
    "this.#timer = setInterval(() => this.#check(), CHECK_MS);",
    "setTimeout(() => this.flush(), 15);",
    'socket.on("message", (data) => handle(data));',
    'response.once("close", () => stop());',
  ])("a check finds %j", (line) => {
    expect(bareEntries(line)).toHaveLength(1);
  });

  it.each([
    "guard('spare', () => this.#end(spare));",
    'socket.on("message", guarded("message", (data) => handle(data)));',
    "await new Promise((resolve) => setTimeout(resolve, 25));",
    'child.once("close", resolve);',
    "readonly send: (event: string) => void;",
    "// `void promise` is not allowed here",
  ])("a check accepts %j", (line) => {
    expect(bareEntries(line)).toEqual([]);
  });
});

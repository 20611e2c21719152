import { readFileSync } from "node:fs";
import type { Command, Report } from "@gantry/protocol/link.ts";
import { describe, expect, it } from "vitest";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import { dial } from "./dial.ts";

/** A roll-out: a session of this version and a runner of the version before, played from recorded messages. */

const recorded = readFileSync(new URL("../../../protocol/testing/protocol-1.ndjson", import.meta.url).pathname, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as { to: string; message: Command | Report });
const ofRunner = recorded.filter(({ to }) => to === "session").map(({ message }) => message as Report);
const toRunner = recorded.filter(({ to }) => to === "runner").map(({ message }) => message as Command);

/** The platform's WebSocket, scripted. */
class ScriptedSocket extends EventTarget {
  readonly sent: { type: string }[] = [];
  closed: number | null = null;
  accept(): void {}
  send(text: string): void {
    this.sent.push(JSON.parse(text) as { type: string });
  }
  close(code: number): void {
    this.closed = code;
  }
  says(message: unknown): void {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }
}

async function open(): Promise<{ socket: ScriptedSocket; reports: Report[]; send: (command: Command) => void }> {
  const socket = new ScriptedSocket();
  const reports: Report[] = [];
  const sandbox = {
    start: async () => {},
    getTcpPort: () => ({ fetch: async () => ({ status: 101, webSocket: socket }) }),
  } as unknown as Sandbox;
  const link = await dial(
    sandbox,
    "sesn_1",
    { epoch: 1, cursor: null },
    { onReport: (report) => void reports.push(report), onClose: () => {} },
  );
  return { socket, reports, send: (command) => link.send(command) };
}

const start = toRunner.find((command) => command.type === "run.start");
if (!start) throw new Error("no start was recorded");
const { engineSessionId, models, options } = start;
const warm: Command = { type: "engine.warm", engineSessionId, models, options };

describe("a runner of the version before", () => {
  it("is understood in every message, and the link stays open", async () => {
    const { socket, reports } = await open();
    for (const message of ofRunner) socket.says(message);
    expect(reports).toEqual(ofRunner);
    expect(socket.closed).toBeNull();
  });

  it("gets every message it knows, and nothing newer", async () => {
    const { socket, send } = await open();
    socket.says(ofRunner[0]);
    const known = toRunner.filter((command) => command.type !== "hello");
    for (const command of [warm, ...known]) send(command);
    expect(socket.sent.slice(1)).toEqual(known);
  });

  it("is distinguished from a current runner, which gets new messages", async () => {
    const { socket, send } = await open();
    socket.says({ ...ofRunner[0], protocol: 2 });
    send(warm);
    expect(socket.sent.at(-1)).toEqual(warm);
  });
});

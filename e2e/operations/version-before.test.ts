import { readFileSync } from "node:fs";
import { join } from "node:path";
import { newId } from "@gantry/protocol/ids.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { until } from "../kit/client.ts";
import { Gantry, ROOT } from "../kit/gantry.ts";
import { RunnerProgram } from "../stories/runner-program.ts";

/**
 * A roll-out: for some minutes a session of the version before talks to today's runner. Its messages are recorded ones; the
 * runner is the real program. (Today's session and a runner of the version before: `worker/session/link/dial.test.ts`.)
 */

type Message = Record<string, unknown> & { type: string };
const recorded = readFileSync(join(ROOT, "protocol", "testing", "protocol-1.ndjson"), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as { to: string; message: Message });
const sent = (type: string): Message[] =>
  recorded.filter(({ to, message }) => to === "runner" && message.type === type).map(({ message }) => message);
/** All that a session of that version knows; it closes its link over anything else. */
const KNOWN = new Set([...recorded.filter(({ to }) => to === "session").map(({ message }) => message.type), "refused"]);

let gantry: Gantry;
let runner: RunnerProgram;
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_POOL: "0" });
  runner = await RunnerProgram.start({});
});
afterAll(async () => {
  await runner.remove();
  await gantry.remove();
});

describe("a session of the version before", () => {
  it("has prompts carried out, answers a question and interrupts, and hears nothing that it does not know", async () => {
    const heard: Message[] = [];
    const socket = new WebSocket(`${runner.server.url.replace("http", "ws")}/sessions/${newId("session")}/link`, {
      headers: { authorization: `Bearer ${RunnerProgram.TOKEN}` },
    });
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    const say = (message: Message | undefined, changes: object = {}): void =>
      socket.send(JSON.stringify({ ...message, ...changes }));
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString("utf8")) as Message;
      heard.push(message);
      if (message.type === "frame") say(sent("ack")[0], { frame: message["frame"] });
    });
    const events = (runId: unknown): Message[] =>
      heard.filter((m) => m.type === "frame" && m["runId"] === runId).flatMap((m) => m["events"] as Message[]);
    const has = (runId: unknown, type: string): Promise<void> =>
      until(() => events(runId).some((event) => event.type === type), `${type} of ${String(runId)}`);
    const models = { baseUrl: gantry.url, token: gantry.key };

    say(sent("hello")[0]);
    const [plain, asking, interrupted] = sent("run.start");
    say(plain, { models });
    await has(plain?.["runId"], "run.ended");
    say(asking, { models });
    await has(asking?.["runId"], "approval.requested");
    const asked = events(asking?.["runId"]).find((event) => event.type === "approval.requested");
    say(sent("tool.answer")[0], { toolUseId: asked?.["tool_use_id"] });
    await has(asking?.["runId"], "run.ended");
    say(interrupted, { models });
    await has(interrupted?.["runId"], "agent.tool_use");
    say(sent("run.interrupt")[0]);
    await has(interrupted?.["runId"], "run.ended");

    const ends = [plain, asking, interrupted].map(
      (start) => events(start?.["runId"]).find((event) => event.type === "run.ended")?.["outcome"],
    );
    expect(ends).toEqual(["succeeded", "succeeded", "interrupted"]);
    expect(heard[0]).toMatchObject({ type: "welcome", activeRunId: null });
    expect(heard.map(({ type }) => type).filter((type) => !KNOWN.has(type))).toEqual([]);
    expect(socket.readyState).toBe(WebSocket.OPEN);
    socket.close();
  });
});

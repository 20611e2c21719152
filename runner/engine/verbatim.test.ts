import { randomUUID } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { newId } from "@gantry/protocol/ids.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openFolders } from "../folders/session-folders.ts";
import { Engine } from "./agent.ts";

/** What a model was asked. */
interface Asked {
  readonly model: string;
  readonly messages: readonly unknown[];
}

const asked: Asked[] = [];
const provider = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (text: string) => (body += text));
  request.on("end", () => {
    const call = JSON.parse(body || "{}") as Asked;
    asked.push(call);
    response.writeHead(200, { "content-type": "text/event-stream" });
    const send = (type: string, fields: object): void =>
      void response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`);
    const message = { id: randomUUID(), type: "message", role: "assistant", model: call.model, content: [] };
    send("message_start", { message: { ...message, stop_reason: null, usage: { input_tokens: 1, output_tokens: 1 } } });
    send("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
    send("content_block_delta", { index: 0, delta: { type: "text_delta", text: "ok" } });
    send("content_block_stop", { index: 0 });
    send("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 1 } });
    send("message_stop", {});
    response.end();
  });
});
beforeAll(() => new Promise<void>((resolve) => void provider.listen(0, "127.0.0.1", resolve)));
afterAll(() => void provider.close());

const MODEL = "claude-sonnet-5";

/** Gives prompts to a new engine, one after the other. Returns the messages of the last model call. */
async function prompts(...texts: readonly string[]): Promise<string> {
  asked.length = 0;
  let ended = (): void => {};
  const engine = new Engine({
    command: {
      options: { model: MODEL, permissionMode: "default", maxTurns: 3 },
      engineSessionId: randomUUID(),
      models: { baseUrl: `http://127.0.0.1:${(provider.address() as AddressInfo).port}`, token: "x" },
    },
    folders: await openFolders(mkdtempSync(join(tmpdir(), "gantry-verbatim-")), newId("session")),
    marker: "test",
    path: `${dirname(process.execPath)}:/usr/bin:/bin`,
    resume: false,
    resumption: null,
    handlers: {
      onMessage: ({ type }) => type === "result" && ended(),
      onToolRequest: () => Promise.resolve({ type: "deny", message: "no" }),
      onExit: () => ended(),
    },
  });
  try {
    for (const text of texts) {
      const end = new Promise<void>((resolve) => (ended = resolve));
      await engine.prompt([{ type: "text", text }], MODEL, "default", null);
      await end;
    }
  } finally {
    engine.close();
  }
  return JSON.stringify(asked.at(-1)?.messages);
}

describe("a prompt reaches the model as it was written", () => {
  it("sec/F1 a path after @ reads no file", async () => {
    const secret = join(mkdtempSync(join(tmpdir(), "gantry-secret-")), "key");
    writeFileSync(secret, "CANARY");
    const messages = await prompts(`Look at @${secret} and @"${secret}"`);
    expect(messages).toContain(`Look at @${secret} and`);
    expect(messages).not.toContain("CANARY");
  });

  it.each(["/model claude-opus-5", "/clear", "/compact", "!touch /tmp/gantry-verbatim"])(
    "sec/F8 %s is text, not a command of the engine",
    async (command) => {
      const messages = await prompts("My name is Ada", command, "What is my name?");
      expect(messages).toContain(JSON.stringify(command).slice(1, -1));
      expect(messages).toContain("My name is Ada");
      expect(messages).not.toMatch(/command-name|local-command/);
      expect(new Set(asked.map(({ model }) => model))).toEqual(new Set([MODEL]));
      expect(asked).toHaveLength(3);
    },
  );
});

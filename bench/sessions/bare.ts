import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { query } from "@anthropic-ai/claude-agent-sdk";
import type { Options, SDKMessage, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import { engineEnvironment, engineModel } from "@gantry/runner/engine/environment.ts";
import type { Scope } from "../kit/scope.ts";
import type { Timing } from "./timing.ts";
import { MAX_TURNS, MODEL, PERMISSION_MODE } from "./timing.ts";

/** The Agent SDK by itself, with the options and environment that the runner gives it: the baseline. */

/** Folders are new for each engine, as they are for a new session. */
function options(scope: Scope, baseUrl: string, name: string): Options {
  const base = join(scope.folder, "bare", name);
  const folders = {
    workspace: join(base, "workspace"),
    home: join(base, "home"),
    config: join(base, "engine"),
    tmp: join(base, "tmp"),
    mnt: join(base, "mnt"),
  };
  for (const folder of Object.values(folders)) mkdirSync(folder, { recursive: true });
  return {
    cwd: folders.workspace,
    env: engineEnvironment({
      folders,
      mounts: [],
      models: { baseUrl, token: "bench" },
      model: MODEL,
      marker: "bench",
      path: process.env["PATH"] ?? "",
      isRoot: process.getuid?.() === 0,
    }),
    model: engineModel(MODEL),
    maxTurns: MAX_TURNS,
    permissionMode: PERMISSION_MODE,
    allowDangerouslySkipPermissions: true,
    systemPrompt: { type: "preset", preset: "claude_code" },
    settingSources: [],
    strictMcpConfig: true,
    includePartialMessages: true,
  };
}

/** Whether this message carries a piece of the answer's text. */
function isText(message: SDKMessage): boolean {
  return (
    message.type === "stream_event" &&
    message.event.type === "content_block_delta" &&
    message.event.delta.type === "text_delta"
  );
}

/** One prompt to an engine that is started for it and ended after it. */
export async function coldQuery(scope: Scope, baseUrl: string, name: string, prompt: string): Promise<Timing> {
  const prepared = options(scope, baseUrl, name);
  const sentAt = performance.now();
  let firstMs = Number.NaN;
  let resultMs = Number.NaN;
  for await (const message of query({ prompt, options: prepared })) {
    if (Number.isNaN(firstMs) && isText(message)) firstMs = performance.now() - sentAt;
    if (message.type !== "result") continue;
    resultMs = performance.now() - sentAt;
    if (message.is_error) throw new Error(`the bare SDK failed: ${JSON.stringify(message)}`);
  }
  return { firstMs, resultMs };
}

/** One engine that stays, fed by an iterable of prompts. */
export class LiveBare {
  readonly #messages: AsyncIterator<SDKMessage>;
  #give: ((message: SDKUserMessage) => void) | null = null;
  #stop: () => void = () => {};

  constructor(scope: Scope, baseUrl: string) {
    const stopped = new Promise<null>((resolve) => (this.#stop = () => resolve(null)));
    const next = async (): Promise<SDKUserMessage | null> =>
      Promise.race([new Promise<SDKUserMessage>((resolve) => (this.#give = resolve)), stopped]);
    async function* prompts(): AsyncGenerator<SDKUserMessage, void> {
      for (let message = await next(); message; message = await next()) yield message;
    }
    const live = query({ prompt: prompts(), options: options(scope, baseUrl, "live") });
    this.#messages = live[Symbol.asyncIterator]();
    scope.defer(() => {
      this.#stop();
      live.close();
    });
  }

  async prompt(text: string): Promise<Timing> {
    while (!this.#give) await new Promise((resolve) => setTimeout(resolve, 5));
    const give = this.#give;
    this.#give = null;
    const sentAt = performance.now();
    give({ type: "user", message: { role: "user", content: text }, parent_tool_use_id: null });
    let firstMs = Number.NaN;
    for (;;) {
      const { value, done } = await this.#messages.next();
      if (done) throw new Error("the bare SDK's live engine ended");
      if (Number.isNaN(firstMs) && isText(value)) firstMs = performance.now() - sentAt;
      if (value.type !== "result") continue;
      if (value.is_error) throw new Error(`the bare SDK failed: ${JSON.stringify(value)}`);
      return { firstMs, resultMs: performance.now() - sentAt };
    }
  }
}

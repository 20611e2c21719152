import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Gantry, until } from "@gantry/e2e/kit/gantry.ts";
import type { Line } from "@gantry/e2e/kit/gantry.ts";
import type { Scope } from "../kit/scope.ts";
import { MAX_TURNS, MODEL, PERMISSION_MODE } from "./timing.ts";
import type { Timing } from "./timing.ts";

/** The product as a user has it, its models at the scripted provider. */
export async function startGantry(scope: Scope, modelsUrl: string): Promise<Gantry> {
  const gantry = await Gantry.start(gantryEnvironment(scope, modelsUrl, "state"));
  scope.defer(() => gantry.remove());
  process.prependOnceListener("exit", () => gantry.kill("launcher"));
  return gantry;
}

export function gantryEnvironment(scope: Scope, modelsUrl: string, state: string): Record<string, string> {
  const routes = join(scope.folder, "routes.yaml");
  writeFileSync(
    routes,
    `model_list:
  - model_name: anthropic/*
    litellm_params:
      model: anthropic/*
      api_base: ${modelsUrl}
      api_key: os.environ/BENCH_KEY
`,
  );
  return {
    LITELLM_CONFIG: routes,
    BENCH_KEY: "sk-bench",
    GANTRY_POOL: "1",
    MODEL,
    GANTRY_STATE: join(scope.folder, state),
  };
}

/** One prompt through `POST /claude-code`; without a session, to a new one. */
export async function runPrompt(
  gantry: Gantry,
  prompt: string,
  sessionId?: string,
  headers: Record<string, string> = {},
): Promise<Timing & { sessionId: string }> {
  const session = sessionId === undefined ? {} : { sessionId };
  const body = { prompt, model: MODEL, maxTurns: MAX_TURNS, permissionMode: PERMISSION_MODE, ...session };
  const sentAt = performance.now();
  const response = await post(gantry, body, headers);
  let firstMs = Number.NaN;
  let last: Line | null = null;
  const lines = createInterface({ input: response }).on("line", (text) => {
    if (text === "") return;
    last = { ...(JSON.parse(text) as Line), cameAtMs: performance.now() - sentAt };
    if (last.type === "assistant" && Number.isNaN(firstMs)) firstMs = last.cameAtMs;
  });
  await once(lines, "close");
  const result = last as Line | null;
  if (result?.type !== "result") throw new Error(`ours failed: ${JSON.stringify(result)}`);
  return { firstMs, resultMs: result.cameAtMs, sessionId: String(result["sessionId"]) };
}

const agent = new Agent({ keepAlive: true });

/**
 * Uses `node:http`, which costs the measuring program as much CPU per prompt as the bare SDK does (1.6 ms). `fetch` costs twice
 * that, and would be counted as Gantry's.
 */
async function post(gantry: Gantry, body: object, headers: Record<string, string>): Promise<IncomingMessage> {
  const own = { authorization: `Bearer ${gantry.key}`, "content-type": "application/json" };
  const sent = request(`${gantry.url}/claude-code`, { method: "POST", agent, headers: { ...own, ...headers } });
  sent.end(JSON.stringify(body));
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return response;
}

/** One prompt to a new session that takes no spare engine: a request with an idempotency key has an id of its own. */
export function runPromptWithoutSpare(gantry: Gantry, prompt: string): Promise<Timing & { sessionId: string }> {
  return runPrompt(gantry, prompt, undefined, { "idempotency-key": randomUUID() });
}

/** Waits until the spare engine has started, so that its start is not what is measured next. */
export async function spareReady(gantry: Gantry): Promise<void> {
  const ready = async (): Promise<boolean> => {
    const health = (await (await gantry.fetch("/health")).json()) as { sandbox: { pool: { ready: number } } };
    return health.sandbox.pool.ready > 0;
  };
  await until(ready, "a spare engine");
}

/** Opens a session as a console does, and waits until its engine is there. */
export async function openSession(gantry: Gantry, sessionId: string): Promise<void> {
  await gantry.fetch(`/v1/sessions/${sessionId}`);
  const state = async (): Promise<unknown> =>
    ((await (await gantry.fetch(`/v1/sessions/${sessionId}/sandbox`)).json()) as { state: unknown }).state;
  await until(async () => (await state()) === "ready", `the engine of ${sessionId}`);
}

/** Ends the engines that `keep` does not list: an idle one takes a percent of a core from the next measurement. */
export async function endOtherEngines(gantry: Gantry, keep: readonly number[]): Promise<void> {
  const others = (): number[] => gantry.processes().engine.filter((pid) => !keep.includes(pid));
  for (const pid of others()) process.kill(pid, "SIGKILL");
  for (let tries = 0; others().length > 0 && tries < 100; tries++)
    await new Promise((resolve) => setTimeout(resolve, 20));
}

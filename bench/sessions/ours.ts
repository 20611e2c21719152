import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { Gantry, until } from "@gantry/e2e/gantry.ts";
import type { Line } from "@gantry/e2e/gantry.ts";
import type { Scope } from "../scope.ts";
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
  let firstMs = Number.NaN;
  let result: (Timing & { sessionId: string }) | null = null;
  await postLines(gantry, body, headers, (line) => {
    const cameAtMs = performance.now() - sentAt;
    if (line.type === "assistant" && Number.isNaN(firstMs)) firstMs = cameAtMs;
    if (line.type === "error") throw new Error(`ours failed: ${JSON.stringify(line)}`);
    if (line.type === "result") result = { firstMs, resultMs: cameAtMs, sessionId: String(line["sessionId"]) };
  });
  if (!result) throw new Error("ours ended without a result");
  return result;
}

const agent = new Agent({ keepAlive: true });

/**
 * Hears each line in the moment it comes. By `node:http`, which has the measuring program take as much processor for a
 * prompt as the bare SDK does (1.6 ms); with `fetch` it took twice that, and it was counted as ours.
 */
function postLines(
  { url, key }: Gantry,
  body: object,
  headers: Record<string, string>,
  onLine: (line: Line) => void,
): Promise<void> {
  const text = JSON.stringify(body);
  const own = {
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  };
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/claude-code`, { method: "POST", agent, headers: { ...own, ...headers } });
    sent.on("error", reject).on("response", (response) => {
      let rest = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        const lines = `${rest}${piece}`.split("\n");
        rest = lines.pop() ?? "";
        try {
          for (const line of lines) if (line !== "") onLine(JSON.parse(line) as Line);
        } catch (error) {
          sent.destroy(error as Error);
        }
      });
      response.on("end", resolve).on("error", reject);
    });
    sent.end(text);
  });
}

/** One prompt to a new session that no spare engine is taken for: what is to be the same when repeated has its own id. */
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

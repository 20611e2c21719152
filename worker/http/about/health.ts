import type { Context } from "hono";
import { ledgerOf } from "../../accounts/ledger.ts";
import type { Env } from "../../base/env.ts";
import { report } from "../../base/log.ts";
import { modelsOf } from "../../models/models.ts";
import { sandboxLevel } from "../../session/parts/sandbox.ts";
import { catalog } from "../../storage/catalog.ts";
import { within } from "../../base/within.ts";
import type { App } from "../request/context.ts";
import { VERSION } from "./root.ts";
import { runnerHealthNow } from "../../sandbox/space.ts";

/** How long a part may take to answer, in milliseconds. */
const PART_MS = 3_000;

/** How long a result is reused, in milliseconds. The route needs no key, so requests must not add load. */
const FRESH_MS = 1_000;

/** The parts that requests depend on. Each is checked through the same code that requests use. */
const PARTS: Readonly<Record<string, (env: Env) => Promise<unknown>>> = {
  catalog: async (env) => (await catalog(env)).prepare("SELECT 1").first(),
  files: (env) => env.FILES.head("health"),
  ledger: (env) => ledgerOf(env, "default").usage({ since: "9999" }),
};

let known: { at: number; broken: readonly string[] } | null = null;

/** Names of the parts that do not answer. */
async function brokenParts(env: Env): Promise<readonly string[]> {
  const at = Date.now();
  if (known && at - known.at < FRESH_MS) return known.broken;
  const asked = Object.entries(PARTS).map(async ([name, ask]) =>
    within(ask(env), PART_MS, name).then(
      () => [],
      (error: unknown) => {
        report({ event: "part_does_not_answer", part: name, error: String(error) });
        return [name];
      },
    ),
  );
  const broken = (await Promise.all(asked)).flat();
  known = { at, broken };
  return broken;
}

/**
 * `GET /health`: 200 while requests can be served, with details of the sandbox and the disk; otherwise 503 with the names
 * of the parts that do not answer.
 */
export async function health(c: Context<App>): Promise<Response> {
  const [runner, broken] = await Promise.all([runnerHealthNow(c.env), brokenParts(c.env)]);
  const well = broken.length === 0;
  if (!well) c.header("retry-after", "5");
  return c.json(
    {
      status: well ? "ok" : "unavailable",
      ...(well ? {} : { unavailable: broken }),
      version: VERSION,
      model: modelsOf(c.env).defaultModel,
      sandbox: {
        level: sandboxLevel(c.env),
        reachable: runner !== null,
        engines: runner?.engines.engines ?? 0,
        starting: runner?.engines.starting ?? 0,
        waiting: runner?.engines.waiting ?? 0,
        maxEngines: runner?.engines.max ?? 0,
        pool: runner?.pool ?? { size: 0, ready: 0, starting: 0 },
      },
      disk: { freeBytes: runner?.freeBytes ?? null },
    },
    well ? 200 : 503,
  );
}

import { waitUntil } from "cloudflare:workers";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { sleep } from "@gantry/router/base/effects.ts";
import type { Env } from "../base/env.ts";
import { localRunner, runnerPort } from "./local.ts";

/** The runner's report about itself. */
export interface RunnerHealth {
  readonly status: string;
  readonly freeBytes: number | null;
  /** Number of engines (including starting and spare ones), of those starting, of sessions that wait for a start, and the limit. */
  readonly engines: { engines: number; starting: number; waiting: number; max: number };
  readonly busySessions: number;
  /** Spare engines for new sessions. */
  readonly pool: { size: number; ready: number; starting: number };
}

/** A report counts as current for this long. Up to `STALE_MS` it is still used while a new one is fetched. */
const FRESH_MS = 2_000;
const STALE_MS = 60_000;
/** Delay of that fetch: the runner is about to start an engine for the request. */
const REFRESH_AFTER_MS = 500;
/** `runnerHealthNow` reuses a report of at most this age. */
const NOW_MS = 250;

const DEFAULT_MIN_FREE_BYTES = 200_000_000;

let known: { at: number; health: RunnerHealth | null } | null = null;
let refreshedAt = 0;

/** The runner's health right now. Limited to one query per `NOW_MS`, because callers need no key. */
export async function runnerHealthNow(env: Env): Promise<RunnerHealth | null> {
  return known && Date.now() - known.at < NOW_MS ? known.health : askRunner(env);
}

/** The recent health of the runner on this machine; null when it does not answer. Waits only when no report is known. */
export async function runnerHealth(env: Env): Promise<RunnerHealth | null> {
  const now = Date.now();
  const age = known ? now - known.at : Infinity;
  if (known && age < FRESH_MS) return known.health;
  if (!known?.health || age > STALE_MS) return askRunner(env);
  if (now - refreshedAt > FRESH_MS) {
    refreshedAt = now;
    waitUntil(sleep(REFRESH_AFTER_MS).then(() => askRunner(env)));
  }
  return known.health;
}

async function askRunner(env: Env): Promise<RunnerHealth | null> {
  // In the cloud, sessions do not share a runner.
  if (env.RUNNER_URL === undefined) return null;
  const at = Date.now();
  const health = await runnerPort(localRunner(env))
    .fetch("http://runner/health", { signal: AbortSignal.timeout(2_000) })
    .then((response) => response.json<RunnerHealth>())
    .catch(() => null);
  // A report is as old as its request, and must not replace a newer one.
  if (known === null || known.at <= at) known = { at, health };
  return health;
}

/**
 * Throws `RequestRefused` (507) while the disk is nearly full. SQLite resets the object when it cannot write, so a prompt
 * must be refused before it is accepted. When the runner does not answer, nothing is refused.
 */
export async function checkSpace(env: Env): Promise<void> {
  const free = (await runnerHealth(env))?.freeBytes;
  const needed = Number(env.GANTRY_MIN_FREE_BYTES ?? DEFAULT_MIN_FREE_BYTES);
  if (typeof free === "number" && free < needed)
    throw new RequestRefused({ code: "storage_full", freeBytes: free, neededBytes: needed });
}

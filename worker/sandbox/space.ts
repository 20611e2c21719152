import { waitUntil } from "cloudflare:workers";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { sleep } from "@gantry/router/base/effects.ts";
import type { Env } from "../base/env.ts";
import { localRunner, runnerPort } from "./local.ts";

/** What the runner says of itself. */
export interface RunnerHealth {
  readonly status: string;
  readonly freeBytes: number | null;
  /** Engines there are (starting ones and spares too), how many of them start, who waits for a start, and the limit. */
  readonly engines: { engines: number; starting: number; waiting: number; max: number };
  readonly busySessions: number;
  /** Spare engines for new sessions. */
  readonly pool: { size: number; ready: number; starting: number };
}

/** An answer is used as it is for this long, and then on while a new one is fetched, up to `STALE_MS`. */
const FRESH_MS = 2_000;
const STALE_MS = 60_000;
/** A new one is fetched this much later: the runner is about to start what the request is for. */
const REFRESH_AFTER_MS = 500;
const NOW_MS = 250;

const DEFAULT_MIN_FREE_BYTES = 200_000_000;

let known: { at: number; health: RunnerHealth | null } | null = null;
let refreshedAt = 0;

/** The same for whoever asks how it is now; not asked for each request, because anybody may send those. */
export async function runnerHealthNow(env: Env): Promise<RunnerHealth | null> {
  return known && Date.now() - known.at < NOW_MS ? known.health : askRunner(env);
}

/** How the runner on this machine is; null when it does not answer. Waits for it only when nothing is known. */
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
  // In the cloud there is none that all share.
  if (env.RUNNER_URL === undefined) return null;
  const at = Date.now();
  const health = await runnerPort(localRunner(env))
    .fetch("http://runner/health", { signal: AbortSignal.timeout(2_000) })
    .then((response) => response.json<RunnerHealth>())
    .catch(() => null);
  // True when it was asked; a slow answer is not a fresh one, and an older one not the newest.
  if (known === null || known.at <= at) known = { at, health };
  return health;
}

/**
 * Refuses with 507 while the disk is nearly full. SQLite resets the object when it cannot write, so the prompt must
 * be refused before it is accepted. A runner that does not answer says nothing about the disk.
 */
export async function checkSpace(env: Env): Promise<void> {
  const free = (await runnerHealth(env))?.freeBytes;
  const needed = Number(env.GANTRY_MIN_FREE_BYTES ?? DEFAULT_MIN_FREE_BYTES);
  if (typeof free === "number" && free < needed)
    throw new RequestRefused({ code: "storage_full", freeBytes: free, neededBytes: needed });
}

import { newId } from "@gantry/protocol/ids.ts";
import type { Env } from "../../base/env.ts";
import { report } from "../../base/log.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import type { EventLog } from "../log/event-log.ts";
import type { RunQueue } from "../store/run-queue.ts";
import { KeyRing } from "../../snapshots/keys.ts";
import { runnerFiles } from "../../snapshots/runner.ts";
import { Snapshots } from "../../snapshots/snapshots.ts";
import type { SnapshotsDeps } from "../../snapshots/snapshots.ts";
import { packPrefix, packStore } from "../../snapshots/store.ts";

const DEFAULT_MINUTES = 5;
const DEFAULT_KEEP = 20;
const DEFAULT_MAX_FILE_BYTES = 2 * 1024 ** 3;
const DEFAULT_MAX_BYTES = 8 * 1024 ** 3;
const DEFAULT_MAX_ENTRIES = 300_000;

/** The snapshots of a session in this installation. */
export function snapshotsOf(
  env: Env,
  sandbox: Sandbox,
  sessionId: string,
  session: Pick<SnapshotsDeps, "sql" | "settings" | "transaction" | "setAlarm"> & {
    readonly log: EventLog;
    readonly queue: RunQueue;
    readonly account: () => string;
  },
): Snapshots {
  const { log, queue, account, ...deps } = session;
  return new Snapshots({
    ...deps,
    store: packStore(env, sessionId),
    keys: () => new KeyRing(env.GANTRY_ENCRYPTION_KEY),
    runner: runnerFiles(sandbox, sessionId),
    prefix: () => packPrefix(account(), sessionId),
    limits: {
      exclude: (env.GANTRY_SNAPSHOT_EXCLUDE ?? "")
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
      maxFileBytes: positive(env.GANTRY_SNAPSHOT_MAX_FILE_BYTES, DEFAULT_MAX_FILE_BYTES),
      maxBytes: positive(env.GANTRY_SNAPSHOT_MAX_BYTES, DEFAULT_MAX_BYTES),
      maxEntries: positive(env.GANTRY_SNAPSHOT_MAX_ENTRIES, DEFAULT_MAX_ENTRIES),
    },
    keep: positive(env.GANTRY_SNAPSHOT_KEEP, DEFAULT_KEEP),
    everyMs: positive(env.GANTRY_SNAPSHOT_MINUTES, DEFAULT_MINUTES, Number.isFinite) * 60_000,
    append: (runId, event) => void log.append([{ id: newId("event"), runId, at: Date.now(), event }]),
    announce: () => log.announce(),
    lastSeq: () => log.last(),
    workedAfter: (runId, seq) => log.workedAfter(runId, seq),
    runningRun: () => queue.running()?.id ?? null,
    isParked: () => queue.running()?.state === "parked",
    now: () => Date.now(),
    pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    report: (entry) => report({ sessionId, ...entry }),
  });
}

function positive(text: string | undefined, fallback: number, isAllowed = Number.isSafeInteger): number {
  const value = Number(text);
  return value > 0 && isAllowed(value) ? value : fallback;
}

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { SessionEvent } from "@gantry/protocol/event.ts";
import { newId } from "@gantry/protocol/ids.ts";
import type { ScanRequest } from "@gantry/protocol/snapshot.ts";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { runnerPort } from "../../sandbox/local.ts";
import { Settings } from "../../session/store/settings.ts";
import { memoryDatabase } from "../../session/testing/sqlite.ts";
import type { Env } from "../../base/env.ts";
import { KeyRing } from "../keys.ts";
import type { PackStore } from "../packs.ts";
import { runnerFiles } from "../runner.ts";
import type { RunnerFiles } from "../runner.ts";
import { Snapshots } from "../snapshots.ts";
import { packPrefix, packStore } from "../store.ts";

export const TEST_KEYS = `k1:${"A".repeat(43)}`;

const ROOM: Omit<ScanRequest, "afresh"> = {
  exclude: [],
  maxFileBytes: 2 ** 30,
  maxBytes: 2 ** 32,
  maxEntries: 500_000,
};

/** A real store and a real runner: workerd's R2 and D1, and the runner's server on a temporary folder. */
export class SnapshotWorld {
  readonly env: Env;
  readonly root: string;
  readonly #miniflare: Miniflare;
  readonly #runner: Runner;

  private constructor(env: Env, root: string, miniflare: Miniflare, runner: Runner) {
    this.env = env;
    this.root = root;
    this.#miniflare = miniflare;
    this.#runner = runner;
  }

  static async start(): Promise<SnapshotWorld> {
    const root = mkdtempSync(join(tmpdir(), "gantry-snapshots-"));
    const miniflare = new Miniflare(
      convertV4MiniflareOptions({
        modules: true,
        script: "export default {}",
        compatibilityDate: "2026-10-15",
        r2Buckets: ["FILES"],
        d1Databases: ["DB"],
      }),
    );
    const env = {
      FILES: await miniflare.getR2Bucket("FILES"),
      DB: await miniflare.getD1Database("DB"),
    } as unknown as Env;
    return new SnapshotWorld(env, root, miniflare, await startRunner(root));
  }

  async stop(): Promise<void> {
    const ended = once(this.#runner.child, "exit");
    this.#runner.child.kill("SIGKILL");
    await ended;
    await this.#miniflare.dispose();
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Path of a session's folder on the runner. */
  folder(sessionId: string): string {
    return join(this.root, sessionId);
  }

  #sandbox(): Parameters<typeof runnerFiles>[0] {
    const port = runnerPort({ url: `http://127.0.0.1:${this.#runner.port}`, token: "t", fetch });
    // Node requires this option for a streamed body.
    return {
      getTcpPort: () => ({ fetch: (url, init) => port.fetch(url, { ...init, duplex: "half" } as RequestInit) }),
    };
  }

  /** A session's object reduced to its snapshots. */
  session(
    change: {
      id?: string;
      store?: (store: PackStore) => PackStore;
      runner?: (runner: RunnerFiles) => RunnerFiles;
      keys?: string;
      limits?: Partial<ScanRequest>;
      keep?: number;
      database?: ReturnType<typeof memoryDatabase>;
      /** Pause between two attempts. */
      pause?: () => Promise<void>;
      /** The run in progress. */
      runningRun?: () => string | null;
    } = {},
  ): TestSession {
    const id = change.id ?? newId("session");
    const { sql, transaction } = change.database ?? memoryDatabase();
    const events: SessionEvent[] = [];
    const runner = runnerFiles(this.#sandbox(), id);
    const store = packStore(this.env, id);
    const settings = new Settings(sql);
    let alarmAt: number | null = null;
    /** How far the session's clock is ahead: tests do not wait until a save is due. */
    let ahead = 0;
    const snapshots = new Snapshots({
      sql,
      transaction,
      settings,
      store: change.store ? change.store(store) : store,
      keys: () => new KeyRing(change.keys ?? TEST_KEYS),
      runner: change.runner ? change.runner(runner) : runner,
      prefix: () => packPrefix("acct", id),
      limits: { ...ROOM, ...change.limits },
      setAlarm: (at) => (alarmAt = at),
      append: (_runId, event) => void events.push(event),
      announce: () => {},
      lastSeq: () => events.length,
      workedAfter: () => false,
      runningRun: change.runningRun ?? ((): null => null),
      isParked: () => false,
      now: () => Date.now() + ahead,
      pause: change.pause ?? ((): Promise<void> => Promise.resolve()),
      keep: change.keep ?? 20,
      everyMs: 1e9,
      report: () => {},
    });
    let runs = 0;
    return {
      id,
      wait: (ms) => void (ahead += ms),
      snapshots,
      settings,
      events,
      /** Saves, as after a run. Returns the event that reports it. */
      async save() {
        const before = events.length;
        snapshots.wantSave(`run_${++runs}`);
        ahead += DUE_MS;
        snapshots.watch();
        await snapshots.idle();
        return events.slice(before).findLast((event) => event.type.startsWith("workspace."));
      },
      restore: async () => {
        await snapshots.prepare({ runnerId: this.#runner.id, folder: null }, null);
        return events.findLast((event) => event.type === "session.restored");
      },
      now: () => Date.now() + ahead,
      alarmAt: () => alarmAt,
    };
  }
}

/** A requested save is due after this time. */
const DUE_MS = 1_000;

export interface TestSession {
  readonly id: string;
  readonly snapshots: Snapshots;
  readonly settings: Settings;
  readonly events: SessionEvent[];
  save(): Promise<SessionEvent | undefined>;
  restore(): Promise<SessionEvent | undefined>;
  /** Advances the session's clock. */
  wait(ms: number): void;
  now(): number;
  alarmAt(): number | null;
}

interface Runner {
  readonly child: ChildProcess;
  readonly port: number;
  readonly id: string;
}

const RUNNER = join(dirname(fileURLToPath(import.meta.url)), "../../../runner/main.ts");

/** Starts the runner's program as the launcher does. */
async function startRunner(root: string): Promise<Runner> {
  const child = spawn(process.execPath, [RUNNER], { stdio: ["pipe", "pipe", "inherit"] });
  const settings = { host: "127.0.0.1", port: 0, token: "t", root, markerPrefix: `${root}:`, path: "", idleMs: 1000 };
  child.stdin.write(`${JSON.stringify({ ...settings, maxEngines: 1, pool: { size: 0, first: null } })}\n`);
  let id = "";
  for await (const line of createInterface({ input: child.stdout })) {
    const entry = JSON.parse(line) as { runnerId?: string; ready?: { port: number } };
    id = entry.runnerId ?? id;
    if (entry.ready) {
      child.stdout.resume();
      return { child, id, port: entry.ready.port };
    }
  }
  throw new Error("the runner did not start");
}

import type { Sandbox } from "../../sandbox/sandbox.ts";
import type { Alarms } from "../store/alarms.ts";
import type { RunQueue } from "../store/run-queue.ts";
import type { Settings } from "../store/settings.ts";

/** Whoever saves is waited for this often, and so long: what cannot be saved for an hour is not kept warm for it. */
const LOOK_MS = 2_000;
const PATIENCE_MS = 3_600_000;

/** Has a session's sandbox sleep when nothing has needed it for its time. On one machine the runner does that. */
export class Rest {
  readonly #sandbox: Sandbox;
  readonly #alarms: Alarms;
  readonly #queue: RunQueue;
  readonly #settings: Settings;

  constructor(sandbox: Sandbox, alarms: Alarms, queue: RunQueue, settings: Settings) {
    this.#sandbox = sandbox;
    this.#alarms = alarms;
    this.#queue = queue;
    this.#settings = settings;
  }

  /** The driver looks again at a run then; null: no run needs the sandbox. */
  runsUntil(at: number | null): void {
    this.#alarms.set("driver", at);
    if (at !== null) this.#sandbox.used();
    this.#alarms.set("sandbox", at === null ? this.#sandbox.sleepsAt() : null);
  }

  /** The alarm. */
  async watch(): Promise<void> {
    const at = this.#queue.status() === "idle" ? this.#sandbox.sleepsAt() : null;
    const now = Date.now();
    if (at === null || at > now) return this.#alarms.set("sandbox", at);
    // Also should this object die meanwhile: the next one finds out what came of it.
    this.#alarms.set("sandbox", now + LOOK_MS);
    if (this.#settings.pendingSave() !== null && now - at < PATIENCE_MS) return;
    await this.#sandbox.sleep();
  }
}

import type { Sandbox } from "../sandbox/sandbox.ts";

/** Whoever saves is waited for this often, and so long: what cannot be saved for an hour is not kept warm for it. */
const LOOK_MS = 2_000;
const PATIENCE_MS = 3_600_000;

export interface RestDeps {
  readonly sandbox: Sandbox;
  readonly setAlarm: (at: number | null) => void;
  readonly isIdle: () => boolean;
  readonly isSaving: () => boolean;
}

/** Has a session's sandbox sleep when nothing has needed it for its time. On one machine the runner does that. */
export class Rest {
  readonly #deps: RestDeps;

  constructor(deps: RestDeps) {
    this.#deps = deps;
  }

  /** The driver looks again at a run then; null: no run needs the sandbox. */
  runsUntil(at: number | null): void {
    const { sandbox, setAlarm } = this.#deps;
    if (at !== null) sandbox.used();
    setAlarm(at === null ? sandbox.sleepsAt() : null);
  }

  /** The alarm. */
  async watch(): Promise<void> {
    const { sandbox, setAlarm, isIdle, isSaving } = this.#deps;
    const at = isIdle() ? sandbox.sleepsAt() : null;
    if (at === null) return setAlarm(null);
    const now = Date.now();
    if (at > now) return setAlarm(at);
    if (isSaving() && now - at < PATIENCE_MS) return setAlarm(now + LOOK_MS);
    // First: should this object die meanwhile, the next one finds out what came of it.
    setAlarm(now + LOOK_MS);
    await sandbox.sleep();
  }
}

/**
 * What the router remembers about deployments: calls in flight, speed, failures, cooldowns, this minute's use.
 *
 * Lives in memory, so it is one isolate's view: on Cloudflare several isolates each balance their own share.
 */

/** Speed is an average that forgets: this share of it is the newest call. */
const NEWEST_SHARE = 0.3;
const MINUTE_MS = 60_000;
/**
 * A call that gives no sign of life for so long has been dropped without its end being heard of (a runtime may throw a
 * whole request away when its client leaves): it is counted out, else its deployment would look busy for ever.
 */
const LOST_MS = 15 * MINUTE_MS;
/** Names come from callers (wildcards), so states of idle deployments are forgotten beyond this many. */
const MAX_STATES = 2_000;

/** A deployment as a strategy sees it. */
export interface DeploymentView {
  readonly inFlight: number;
  /** Usual time to the first byte of a stream, or of an answer in one piece; null before the first one. */
  readonly latencyMs: number | null;
  /** Out of every pick until then; 0 when it is not cooling. */
  readonly coolingUntil: number;
  readonly failuresThisMinute: number;
  readonly successesThisMinute: number;
}

/** Use of one route entry in the current minute, for `rpm` and `tpm`. */
export interface MinuteUse {
  readonly requests: number;
  readonly tokens: number;
  readonly inFlight: number;
  readonly endsAt: number;
}

interface State {
  readonly flights: Set<CountedFlight>;
  /** Kept apart: an answer in one piece begins when it is finished. */
  latencyMs: { stream: number | null; whole: number | null };
  coolingUntil: number;
  minute: number;
  failures: number;
  successes: number;
}

interface Use {
  minute: number;
  requests: number;
  tokens: number;
  inFlight: number;
}

/** One call in flight. */
export interface Flight {
  /** The call still goes on. */
  touch(): void;
  /** The call is over. May be called any number of times and counts once. */
  end(): void;
}

interface CountedFlight extends Flight {
  aliveAt: number;
}

export class DeploymentStates {
  readonly #states = new Map<string, State>();
  readonly #uses = new Map<string, Use>();
  readonly #now: () => number;
  #lostDroppedAt = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts a call in: at the deployment and at the entry its limits hang on. */
  begin(deploymentId: string, entryId: string): Flight {
    this.#dropLost();
    const { flights } = this.#state(deploymentId);
    const use = this.#use(entryId);
    const now = this.#now;
    const flight: CountedFlight = {
      aliveAt: now(),
      touch() {
        this.aliveAt = now();
      },
      end() {
        if (flights.delete(flight)) use.inFlight--;
      },
    };
    flights.add(flight);
    use.inFlight++;
    use.requests++;
    return flight;
  }

  view(deploymentId: string, streams: boolean): DeploymentView {
    const state = this.#state(deploymentId);
    return {
      inFlight: state.flights.size,
      latencyMs: state.latencyMs[streams ? "stream" : "whole"],
      coolingUntil: state.coolingUntil > this.#now() ? state.coolingUntil : 0,
      failuresThisMinute: state.failures,
      successesThisMinute: state.successes,
    };
  }

  use(entryId: string): MinuteUse {
    const { requests, tokens, inFlight, minute } = this.#use(entryId);
    return { requests, tokens, inFlight, endsAt: (minute + 1) * MINUTE_MS };
  }

  succeeded(deploymentId: string, firstByteMs: number, streams: boolean): void {
    const state = this.#state(deploymentId);
    state.successes++;
    const kind = streams ? "stream" : "whole";
    const before = state.latencyMs[kind];
    state.latencyMs[kind] = before === null ? firstByteMs : before * (1 - NEWEST_SHARE) + firstByteMs * NEWEST_SHARE;
  }

  failed(deploymentId: string): void {
    this.#state(deploymentId).failures++;
  }

  cool(deploymentId: string, ms: number): void {
    const state = this.#state(deploymentId);
    state.coolingUntil = Math.max(state.coolingUntil, this.#now() + ms);
  }

  countTokens(entryId: string, tokens: number): void {
    this.#use(entryId).tokens += tokens;
  }

  /** Deployments remembered. */
  get size(): number {
    return this.#states.size;
  }

  /** Calls in flight over all deployments: 0 when nothing is going on. */
  get inFlight(): number {
    let sum = 0;
    for (const state of this.#states.values()) sum += state.flights.size;
    return sum;
  }

  #minute(): number {
    return Math.floor(this.#now() / MINUTE_MS);
  }

  #state(id: string): State {
    const minute = this.#minute();
    let state = this.#states.get(id);
    if (state === undefined) {
      if (this.#states.size >= MAX_STATES) this.#forgetIdle();
      state = {
        flights: new Set(),
        latencyMs: { stream: null, whole: null },
        coolingUntil: 0,
        minute,
        failures: 0,
        successes: 0,
      };
      this.#states.set(id, state);
    } else if (state.minute !== minute) {
      state.minute = minute;
      state.failures = 0;
      state.successes = 0;
    }
    return state;
  }

  /** Entries come from the configuration: their number is bounded by it. */
  #use(id: string): Use {
    const minute = this.#minute();
    let use = this.#uses.get(id);
    if (use === undefined) {
      use = { minute, requests: 0, tokens: 0, inFlight: 0 };
      this.#uses.set(id, use);
    } else if (use.minute !== minute) {
      use.minute = minute;
      use.requests = 0;
      use.tokens = 0;
    }
    return use;
  }

  #dropLost(): void {
    const now = this.#now();
    if (now - this.#lostDroppedAt < MINUTE_MS) return;
    this.#lostDroppedAt = now;
    for (const { flights } of this.#states.values()) {
      for (const flight of flights) if (now - flight.aliveAt > LOST_MS) flight.end();
    }
  }

  #forgetIdle(): void {
    const now = this.#now();
    for (const [id, state] of this.#states) {
      if (state.flights.size === 0 && state.coolingUntil <= now) this.#states.delete(id);
    }
  }
}

/**
 * What the router remembers about deployments: calls in flight, latency, failures, cooldowns, and use in this minute.
 *
 * It is kept in memory, so each isolate has its own view: on Cloudflare every isolate balances its own share.
 */

/** Latency is a moving average; the newest call has this share of it. */
const NEWEST_SHARE = 0.3;
const MINUTE_MS = 60_000;
/**
 * A call without a sign of life for this long counts as lost. A runtime may discard a whole request when its client
 * leaves, and then no end is reported; without this limit the deployment would look busy for ever.
 */
const LOST_MS = 15 * MINUTE_MS;
/** Callers can invent names through wildcards, so beyond this many states those of idle deployments are dropped. */
const MAX_STATES = 2_000;

/** A deployment as a strategy sees it. */
export interface DeploymentView {
  readonly inFlight: number;
  /** Average milliseconds to the first byte, separately for streams and whole answers; null before the first call. */
  readonly latencyMs: number | null;
  /** Time until which the deployment is not picked; 0 when it is not cooling down. */
  readonly coolingUntil: number;
  readonly failuresThisMinute: number;
  readonly successesThisMinute: number;
}

/** Use of one route entry in the current minute, for `rpm`, `tpm` and `max_parallel_requests`. */
export interface MinuteUse {
  readonly requests: number;
  readonly tokens: number;
  readonly inFlight: number;
  readonly endsAt: number;
}

interface State {
  readonly flights: Set<CountedFlight>;
  /** Kept apart, because an answer without a stream begins only when it is finished. */
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
  /** Reports that the call is still running. */
  touch(): void;
  /** Reports that the call is over. Further calls have no effect. */
  end(): void;
}

interface CountedFlight extends Flight {
  aliveAt: number;
}

/** The state of all deployments in this isolate. */
export class DeploymentStates {
  readonly #states = new Map<string, State>();
  readonly #uses = new Map<string, Use>();
  readonly #now: () => number;
  #lostDroppedAt = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Counts a new call, at the deployment and at the route entry that limits it. */
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

  /** How many deployments are remembered. */
  get size(): number {
    return this.#states.size;
  }

  /** Calls in flight over all deployments. */
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

  /** Use per route entry. The configuration bounds the number of entries. */
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

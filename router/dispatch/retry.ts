/** What a failure means: try again, ask another model, let a deployment rest, or give up. Pure. */
import { isRetryable } from "../base/errors.ts";
import type { RetryConfig, RouterConfig } from "../config/router-config.ts";
import type { DeploymentView } from "./deployment-state.ts";

/** A try that failed before its first byte went to the client. */
export interface TryFailure {
  readonly cause: "answer" | "network" | "timeout";
  readonly status: number;
  readonly message: string;
  /** How long the upstream asked us to wait. */
  readonly retryAfterMs: number | null;
  /** The upstream's own `x-should-retry`, where it gave one. */
  readonly shouldRetry: boolean | null;
  /** What the client is told when this failure is the last. */
  readonly response: Response;
}

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 8_000;
/** Least share of a pause that is left after jitter: clients that failed together do not come back together. */
const JITTER = 0.25;
/** A wait longer than this is the client's to decide: it is told instead of kept. */
const MAX_RETRY_AFTER_MS = 30_000;
/** An overloaded upstream (529) is worth more patience than a broken one. */
const OVERLOADED_RETRIES = 4;
/** Longest cooldown an upstream's `retry-after` can ask for. */
const MAX_COOLDOWN_MS = 60_000;

/**
 * How long to wait before the next try, or null to give up.
 *
 * `retry`: tries after the first that have been made already. `hasFresh`: another healthy deployment of the same name is
 * left, so that there is nothing to wait for.
 */
export function nextDelayMs(
  failure: TryFailure,
  retry: number,
  config: RetryConfig,
  hasFresh: boolean,
  random: () => number,
): number | null {
  if (retry >= retriesFor(failure, config, hasFresh)) return null;
  if (hasFresh) return 0;
  if (failure.retryAfterMs !== null && failure.retryAfterMs > MAX_RETRY_AFTER_MS) return null;
  const grown = config.exponential ? FIRST_DELAY_MS * 2 ** retry : FIRST_DELAY_MS;
  const delay = Math.min(grown, MAX_DELAY_MS) * (1 - JITTER * random());
  return Math.round(Math.max(delay, failure.retryAfterMs ?? 0, config.minDelayMs));
}

/** Tries after the first that this kind of failure is worth. */
function retriesFor(failure: TryFailure, { max, byKind }: RetryConfig, hasFresh: boolean): number {
  if (failure.shouldRetry === false) return hasFresh ? max : 0;
  if (failure.cause === "timeout") return byKind.timeout ?? max;
  switch (failure.status) {
    case 400:
    case 413:
    case 422:
      return (isContentPolicy(failure) ? byKind.contentPolicy : byKind.badRequest) ?? 0;
    // Ours to fix, and the same every time at this deployment; another one may have a better key or the model.
    case 401:
    case 402:
    case 403:
      return byKind.authentication ?? (hasFresh ? max : 0);
    case 404:
      return byKind.notFound ?? (hasFresh ? max : 0);
    case 408:
    case 504:
      return byKind.timeout ?? max;
    case 429:
      return byKind.rateLimit ?? max;
    case 529:
      return byKind.internal ?? (max === 0 ? 0 : Math.max(max, OVERLOADED_RETRIES));
    default:
      return failure.shouldRetry === true || isRetryable(failure.status) ? (byKind.internal ?? max) : 0;
  }
}

/** A request that is wrong by itself says nothing about who refused it. */
export function isDeploymentsFault({ status }: Pick<TryFailure, "status">): boolean {
  return status !== 400 && status !== 413 && status !== 422;
}

/**
 * How long a deployment rests after a failure; 0 for not at all. `view` includes this failure. `sole`: its name has no
 * other deployment, and a name is never cooled away.
 */
export function cooldownMs(
  failure: TryFailure,
  view: DeploymentView,
  config: RouterConfig["cooldown"],
  sole: boolean,
): number {
  if (sole || config.ms === 0 || !isDeploymentsFault(failure)) return 0;
  switch (failure.status) {
    case 401:
    case 402:
    case 403:
    case 404:
      return config.ms;
    case 429:
      return Math.min(Math.max(config.ms, failure.retryAfterMs ?? 0), MAX_COOLDOWN_MS);
    default: {
      const { failuresThisMinute: failures, successesThisMinute: successes } = view;
      if (config.allowedFails !== null) return failures > config.allowedFails ? config.ms : 0;
      return failures > 1 && failures > successes ? config.ms : 0;
    }
  }
}

/** Which list of other models a final failure leads to; null when another model would fail the same way. */
export function fallbackKind(
  failure: Pick<TryFailure, "status" | "message">,
): "contextWindow" | "contentPolicy" | "general" | null {
  if (isContextWindow(failure)) return "contextWindow";
  if (isContentPolicy(failure)) return "contentPolicy";
  return isDeploymentsFault(failure) ? "general" : null;
}

function isContextWindow({ status, message }: Pick<TryFailure, "status" | "message">): boolean {
  return (
    (status === 400 || status === 413 || status === 422) &&
    /prompt is too long|context[ _-]?(?:length|window)|maximum context|too many (?:input )?tokens|input is too long|exceeds? the (?:model's )?(?:context|maximum)|reduce the length/i.test(
      message,
    )
  );
}

function isContentPolicy({ status, message }: Pick<TryFailure, "status" | "message">): boolean {
  return (
    (status === 400 || status === 403) &&
    /content[ _-]?(?:policy|filter|management)|usage polic|safety (?:system|filter|polic)|moderation|flagged/i.test(
      message,
    )
  );
}

/** `retry-after` in milliseconds: seconds or an HTTP date; null when there is none or it is nonsense. */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null || header.trim() === "") return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds >= 0 ? seconds * 1000 : null;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/** Decides what follows a failure: a retry, another model, a cooldown for the deployment, or giving up. Pure. */
import { isRetryable } from "../base/errors.ts";
import type { RetryConfig, RouterConfig } from "../config/router-config.ts";
import type { DeploymentView } from "./deployment-state.ts";

/** A try that failed before its first byte went to the client. */
export interface TryFailure {
  readonly cause: "answer" | "network" | "timeout";
  readonly status: number;
  readonly message: string;
  /** How long the upstream asks us to wait; null when it does not say. */
  readonly retryAfterMs: number | null;
  /** The upstream's own `x-should-retry`; null when it sent none. */
  readonly shouldRetry: boolean | null;
  /** The response for the client when nothing else is tried. */
  readonly response: Response;
}

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 8_000;
/** Largest share of a pause that jitter removes, so that clients which failed together do not return together. */
const JITTER = 0.25;
/** When an upstream asks for a longer wait than this, the client gets the failure and decides. */
const MAX_RETRY_AFTER_MS = 30_000;
/** An overloaded upstream (529) gets more retries than a broken one. */
const OVERLOADED_RETRIES = 4;
/** Longest cooldown an upstream's `retry-after` can ask for. */
const MAX_COOLDOWN_MS = 60_000;

/**
 * How long to wait before the next try, or null to give up.
 *
 * `retry`: retries made so far. `hasFresh`: another healthy deployment of the same name is left, so there is nothing to
 * wait for.
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

/** How many retries this kind of failure gets. */
function retriesFor(failure: TryFailure, { max, byKind }: RetryConfig, hasFresh: boolean): number {
  if (failure.shouldRetry === false) return hasFresh ? max : 0;
  if (failure.cause === "timeout") return byKind.timeout ?? max;
  switch (failure.status) {
    case 400:
    case 413:
    case 422:
      return (isContentPolicy(failure) ? byKind.contentPolicy : byKind.badRequest) ?? 0;
    // The operator has to fix this, so the same deployment fails again. Another one may have a valid key, or the model.
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

/** Whether the deployment is to blame. An invalid request says nothing about the deployment that refused it. */
export function isDeploymentsFault({ status }: Pick<TryFailure, "status">): boolean {
  return status !== 400 && status !== 413 && status !== 422;
}

/**
 * How long a deployment cools down after a failure, in milliseconds; 0 for not at all. `view` includes this failure.
 * `sole`: the model name has no other deployment, and the last one never cools down.
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

/** Which list of fallback models a final failure leads to; null when another model would fail the same way. */
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

/** A `retry-after` header (seconds or an HTTP date) in milliseconds; null when it is missing or invalid. */
export function retryAfterMs(header: string | null, now: number): number | null {
  if (header === null || header.trim() === "") return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds >= 0 ? seconds * 1000 : null;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

/** Picks one of a model name's deployments from their current state. Pure. */
import type { Strategy } from "../config/schema.ts";
import type { Deployment } from "../routes/deployment.ts";
import type { RouteEntry } from "../routes/route-entry.ts";
import type { DeploymentView, MinuteUse } from "./deployment-state.ts";

/** A deployment that may be picked, with its current state. */
export interface Candidate {
  readonly deployment: Deployment;
  readonly entry: RouteEntry;
  readonly view: DeploymentView;
  readonly use: MinuteUse;
}

/** The deployment to ask, or how long to wait for one. */
export type Choice =
  | { readonly candidate: Candidate }
  /** Every deployment is at a limit from the configuration. Another call may succeed in `waitMs`. */
  | { readonly candidate: null; readonly waitMs: number };

/** Latencies up to this multiple of the best one count as equal, so that the fastest deployment is not flooded. */
const LATENCY_BUFFER = 1.1;

/**
 * Picks among `candidates` (at least one).
 *
 * Deployments at their `rpm`, `tpm` or `max_parallel_requests` are left out. Among the others, a healthy one comes before
 * one that is cooling down, an untried one before one already tried for this request, and a lower `order` before a higher
 * one. The strategy decides among those that are left. When all are cooling down, the one that recovers first is asked
 * anyway, so that a model name never becomes unavailable.
 */
export function pick(
  candidates: readonly Candidate[],
  strategy: Strategy,
  tried: ReadonlySet<string>,
  now: number,
  random: () => number,
): Choice {
  const open = candidates.filter((candidate) => !isAtLimit(candidate));
  if (open.length === 0) return { candidate: null, waitMs: waitForLimit(candidates, now) };
  const healthy = open.filter((candidate) => candidate.view.coolingUntil === 0);
  if (healthy.length === 0) {
    return { candidate: lowest(open, (candidate) => candidate.view.coolingUntil, random) };
  }
  const fresh = healthy.filter((candidate) => !tried.has(candidate.deployment.id));
  const pool = fresh.length > 0 ? fresh : healthy;
  const order = Math.min(...pool.map((candidate) => candidate.entry.order));
  const tier = pool.filter((candidate) => candidate.entry.order === order);
  return { candidate: byStrategy(tier, strategy, random) };
}

/** Whether a deployment is left that is healthy, within limits and not tried yet. If so, a retry need not wait. */
export function hasFresh(candidates: readonly Candidate[], tried: ReadonlySet<string>): boolean {
  return candidates.some(
    (candidate) => candidate.view.coolingUntil === 0 && !isAtLimit(candidate) && !tried.has(candidate.deployment.id),
  );
}

function byStrategy(tier: readonly Candidate[], strategy: Strategy, random: () => number): Candidate {
  switch (strategy) {
    case "least-busy":
      return lowest(tier, (candidate) => candidate.view.inFlight, random);
    case "simple-shuffle":
      return byWeight(tier, random);
    case "latency-based-routing": {
      // A deployment without a measurement is tried first, or it would never get one.
      const latency = (candidate: Candidate): number => candidate.view.latencyMs ?? 0;
      const best = Math.min(...tier.map(latency));
      return atRandom(
        tier.filter((candidate) => latency(candidate) <= best * LATENCY_BUFFER),
        random,
      );
    }
    case "first-healthy":
      return tier[0] as Candidate;
  }
}

/** Weights as LiteLLM reads them: `weight` if any deployment has one, otherwise `rpm`, otherwise `tpm`, otherwise equal. */
function byWeight(tier: readonly Candidate[], random: () => number): Candidate {
  const kinds = ["weight", "requestsPerMinute", "tokensPerMinute"] as const;
  const kind = kinds.find((name) => tier.some((candidate) => candidate.entry[name] !== undefined));
  if (kind === undefined) return atRandom(tier, random);
  const weights = tier.map((candidate) => candidate.entry[kind] ?? 0);
  let rest = random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return tier[index] as Candidate;
  }
  // All weights are 0, or rounding left a remainder.
  return atRandom(tier, random);
}

function lowest(from: readonly Candidate[], value: (candidate: Candidate) => number, random: () => number): Candidate {
  const least = Math.min(...from.map(value));
  return atRandom(
    from.filter((candidate) => value(candidate) === least),
    random,
  );
}

function atRandom(from: readonly Candidate[], random: () => number): Candidate {
  return from[Math.min(from.length - 1, Math.floor(random() * from.length))] as Candidate;
}

function isAtLimit({ entry, use }: Candidate): boolean {
  return (
    (entry.requestsPerMinute !== undefined && use.requests >= entry.requestsPerMinute) ||
    (entry.tokensPerMinute !== undefined && use.tokens >= entry.tokensPerMinute) ||
    (entry.maxParallel !== undefined && use.inFlight >= entry.maxParallel)
  );
}

/** A deployment at `max_parallel_requests` may be free in a moment; one at `rpm` or `tpm` is free when the minute ends. */
function waitForLimit(candidates: readonly Candidate[], now: number): number {
  return Math.min(
    ...candidates.map(({ entry, use }) => {
      const minuteIsUsed =
        (entry.requestsPerMinute !== undefined && use.requests >= entry.requestsPerMinute) ||
        (entry.tokensPerMinute !== undefined && use.tokens >= entry.tokensPerMinute);
      return minuteIsUsed ? Math.max(1_000, use.endsAt - now) : 1_000;
    }),
  );
}

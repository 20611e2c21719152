/**
 * From a checked request to an answer that has begun: picks a deployment, retries, and falls back to other models.
 *
 * All of this happens before the client gets its first byte. After that nothing is retried.
 */
import type { Effects } from "../base/effects.ts";
import type { Usage } from "../base/usage.ts";
import type { RouterConfig } from "../config/router-config.ts";
import type { ApiFormat, Deployment } from "../routes/deployment.ts";
import type { Env } from "../routes/env-names.ts";
import type { RouteEntry } from "../routes/route-entry.ts";
import { type Match, type RouteTable, toDeployment, type Unusable, unusableMessage } from "../routes/routes.ts";
import type { Upstream } from "../upstreams/upstream.ts";
import { asTryFailure, attempt, isStream, type RoutedCall, type TryLimits, type TryResult } from "./attempt.ts";
import type { DeploymentStates, Flight } from "./deployment-state.ts";
import { cooldownMs, fallbackKind, isDeploymentsFault, nextDelayMs, type TryFailure } from "./retry.ts";
import { type Candidate, hasFresh, pick } from "./strategies.ts";

/** The parts of a router that a call needs. */
export interface Switchboard {
  readonly config: RouterConfig;
  readonly table: RouteTable;
  readonly states: DeploymentStates;
  readonly upstreams: Readonly<Record<ApiFormat, Upstream>>;
  readonly env: Env;
  readonly deps: Effects;
  log(entry: Record<string, unknown>): void;
}

/** One try, for the record. */
export interface Tried {
  readonly deployment: string;
  /** HTTP status; 0 when the client left before there was one. */
  readonly status: number;
  readonly ms: number;
}

/** The deployment that answers, and the flight to end when the answer ends. */
export interface Served {
  readonly deployment: Deployment;
  readonly entry: RouteEntry;
  readonly flight: Flight;
}

/** The outcome of a call, with every try made for it. */
export type Dispatched = {
  readonly tries: readonly Tried[];
  /** What the upstream says it billed; undefined until it has said so. */
  readonly usage: () => Usage | undefined;
} & (
  | {
      readonly kind: "answer";
      readonly answer: Extract<TryResult, { kind: "stream" | "whole" }>;
      readonly served: Served;
    }
  | { readonly kind: "failure"; readonly failure: TryFailure; readonly served: Omit<Served, "flight"> | null }
  | { readonly kind: "gone"; readonly served: Omit<Served, "flight"> | null }
);

/** Never throws. The caller must end `served.flight` when the answer ends, for any reason. */
export async function dispatch(call: RoutedCall, match: Match, board: Switchboard): Promise<Dispatched> {
  const result = await askAll(call, match, board);
  // The client must not retry what was retried here: its retries and ours would multiply.
  if (result.kind === "failure" && result.tries.length > 1)
    result.failure.response.headers.set("x-should-retry", "false");
  return result;
}

async function askAll(call: RoutedCall, match: Match, board: Switchboard): Promise<Dispatched> {
  let result = await askGroup(call, match, board, []);
  if (result.kind !== "failure") return result;
  const kind = fallbackKind(result.failure);
  if (kind === null) return result;
  for (const model of fallbacksFor(call.request.model, match, kind, board.config.fallbacks)) {
    const other = board.table.match(model);
    if (other === undefined) continue;
    board.log({ event: "model_fallback", request_id: call.requestId, from: match.model, to: model, reason: kind });
    const next = await askGroup(call, other, board, result.tries);
    if (next.kind !== "failure") return next;
    // The client asked for the first model: a fallback without a key must not hide why that one failed.
    result = next.served === null ? { ...result, tries: next.tries } : next;
  }
  return result;
}

/** Every match that may answer a request for `asked`: its own, and those of all its fallbacks. */
export function matchesFor(asked: string, match: Match, { table, config }: Switchboard): Match[] {
  const others = (["general", "contextWindow", "contentPolicy"] as const).flatMap((kind) =>
    fallbacksFor(asked, match, kind, config.fallbacks),
  );
  return [match, ...others.flatMap((model) => table.match(model) ?? [])];
}

/** Other models to ask, in order, each once. The list comes from the kind of failure. */
function fallbacksFor(
  asked: string,
  match: Match,
  kind: "contextWindow" | "contentPolicy" | "general",
  { max, byDefault, ...lists }: RouterConfig["fallbacks"],
): string[] {
  const listed = (list: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined =>
    list.get(asked) ?? list.get(match.model) ?? list.get(match.route) ?? list.get("*");
  const own = listed(lists[kind]) ?? (kind === "general" ? byDefault : []);
  return [...new Set(own)].filter((model) => model !== asked && model !== match.model).slice(0, max);
}

async function askGroup(
  call: RoutedCall,
  match: Match,
  board: Switchboard,
  before: readonly Tried[],
): Promise<Dispatched> {
  const { config, states, deps } = board;
  const streams = isStream(call);
  const tries = [...before];
  let usage: Usage | undefined;
  const shared = { tries, usage: () => usage };
  const found = match.entries.map((entry) => ({ entry, deployment: toDeployment(entry, match, board.env) }));
  const usable = found.flatMap(({ entry, deployment }) => ("unusable" in deployment ? [] : [{ entry, deployment }]));
  if (usable.length === 0) {
    const reason = found[0]?.deployment as Unusable;
    const failure = {
      status: reason.unusable === "key" ? 401 : 404,
      message: unusableMessage(reason, call.request.model),
    };
    return { ...shared, kind: "failure", failure: asTryFailure(failure, "answer", call.requestId), served: null };
  }
  const candidates = (): Candidate[] =>
    usable.map(({ entry, deployment }) => ({
      entry,
      deployment,
      view: states.view(deployment.id, streams),
      use: states.use(entry.id),
    }));
  const tried = new Set<string>();
  for (let retry = 0; ; retry++) {
    const choice = pick(candidates(), config.strategy, tried, deps.now(), () => deps.random());
    if (choice.candidate === null) {
      const failure = {
        status: 429,
        message: `Model "${call.request.model}" is at the limit (rpm, tpm or max_parallel_requests) that litellm_config.yaml sets.`,
        retryAfter: String(Math.ceil(choice.waitMs / 1000)),
      };
      return { ...shared, kind: "failure", failure: asTryFailure(failure, "answer", call.requestId), served: null };
    }
    const { entry, deployment } = choice.candidate;
    tried.add(deployment.id);
    const flight = states.begin(deployment.id, entry.id);
    const startedAt = deps.now();
    const result = await attempt(
      call,
      deployment,
      board.upstreams[deployment.apiFormat],
      limitsOf(entry, config),
      deps,
      (said) => (usage = said),
      (entry) => board.log({ ...entry, request_id: call.requestId }),
    );
    const ms = deps.now() - startedAt;
    if (result.kind === "stream" || result.kind === "whole") {
      tries.push({ deployment: deployment.id, status: result.response.status, ms });
      if (call.kind === "messages") states.succeeded(deployment.id, result.firstByteMs, streams);
      return { ...shared, kind: "answer", answer: result, served: { deployment, entry, flight } };
    }
    flight.end();
    if (result.kind === "gone") {
      tries.push({ deployment: deployment.id, status: 0, ms });
      return { ...shared, kind: "gone", served: { deployment, entry } };
    }
    const { failure } = result;
    tries.push({ deployment: deployment.id, status: failure.status, ms });
    board.log({
      event: "upstream_failed",
      request_id: call.requestId,
      deployment: deployment.id,
      status: failure.status,
      cause: failure.cause,
      ms,
    });
    if (isDeploymentsFault(failure)) states.failed(deployment.id);
    const rest = cooldownMs(failure, states.view(deployment.id, streams), config.cooldown, usable.length === 1);
    if (rest > 0) states.cool(deployment.id, rest);
    const policy = entry.maxRetries === undefined ? config.retry : { ...config.retry, max: entry.maxRetries };
    const delay = nextDelayMs(failure, retry, policy, hasFresh(candidates(), tried), () => deps.random());
    if (delay === null) return { ...shared, kind: "failure", failure, served: { deployment, entry } };
    if (delay > 0) {
      try {
        await deps.sleep(delay, call.signal);
      } catch {
        return { ...shared, kind: "gone", served: { deployment, entry } };
      }
    }
  }
}

function limitsOf(entry: RouteEntry, config: RouterConfig): TryLimits {
  return {
    firstByteMs: entry.firstByteMs ?? config.firstByteMs,
    totalMs: entry.totalMs ?? config.totalMs,
    idleMs: config.idleMs,
  };
}

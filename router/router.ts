/**
 * The model router's front: Anthropic Messages in, any provider behind it.
 *
 * Composition only: it checks a request, finds its route and hands it to `serve`. The router never authenticates a
 * caller: the HTTP door in front of it has done so and passes the caller in.
 */
import type { Effects } from "./base/effects.ts";
import { errorResponse, type RouterFailure } from "./base/errors.ts";
import type { UsageRecord } from "./base/usage.ts";
import { answerChat } from "./chat-completions/door.ts";
import type { RouterConfig } from "./config/router-config.ts";
import { DeploymentStates } from "./dispatch/deployment-state.ts";
import type { Switchboard } from "./dispatch/dispatch.ts";
import type { Reserve } from "./money/budget.ts";
import type { Caller } from "./request/caller.ts";
import { MessagesRequest } from "./request/messages-request.ts";
import { checkHops, forwardedHeaders, readBytes } from "./request/request.ts";
import { limitHeaders, limitRequest } from "./request/session-rules.ts";
import type { ApiFormat } from "./routes/deployment.ts";
import { pickDefaultModel } from "./routes/model-names.ts";
import { listModels, toAnthropicList, toOpenAiList } from "./routes/models.ts";
import type { Env } from "./routes/env-names.ts";
import { routerEnv } from "./routes/keys.ts";
import { compileRoutes } from "./routes/routes.ts";
import { AnswerCache } from "./serve/cache.ts";
import { serve } from "./serve/serve.ts";
import { anthropicUpstream } from "./upstreams/anthropic.ts";
import { demoUpstream } from "./upstreams/demo.ts";
import { openaiUpstream } from "./upstreams/openai.ts";
import type { Upstream } from "./upstreams/upstream.ts";

/** Effects, environment and accounting of a router. */
export interface RouterDeps extends Effects {
  /** Provider keys and addresses; read at each call, never kept. The router reads only what its configuration names. */
  readonly env: Env;
  /** One structured line. Never holds a key or a prompt. */
  log(entry: Record<string, unknown>): void;
  /** Called once per model call and per count of tokens, also when it failed, was cut or came from the cache. Must not throw. */
  onUsage?(record: UsageRecord): void;
  /** Decides before each model call whether it may be made. The reservation is settled when the call has ended. */
  reserve?: Reserve;
}

/** The methods that take a request always answer and never throw: a failure is a Response in Anthropic's error shape. */
export interface Router {
  /** `POST /v1/messages` */
  messages(request: Request, caller: Caller): Promise<Response>;
  /** `POST /v1/messages/count_tokens` */
  countTokens(request: Request, caller: Caller): Promise<Response>;
  /** `POST /v1/chat/completions`: OpenAI's shapes in and out, errors included; the same routes, limits and records. */
  chatCompletions(request: Request, caller: Caller): Promise<Response>;
  /** `GET /v1/models`: Anthropic's shape when the request has `anthropic-version`, otherwise OpenAI's. */
  models(request: Request, caller: Caller): Promise<Response>;
  /** Whether some route takes this name. */
  knows(model: string): boolean;
  /** Every `model_name` of the configuration, and `demo/*`. */
  routeNames(): readonly string[];
  /** The model for a request that names none. */
  readonly defaultModel: string;
  /** Calls in flight right now, over all deployments. */
  readonly inFlight: number;
}

const UPSTREAMS: Readonly<Record<ApiFormat, Upstream>> = {
  anthropic: anthropicUpstream,
  demo: demoUpstream,
  openai: openaiUpstream,
};

/** Builds a router. `config` is compiled once; everything the router remembers lives in the returned object. */
export function createRouter(config: RouterConfig, deps: RouterDeps): Router {
  const table = compileRoutes(config);
  const knows = (model: string): boolean => table.match(model) !== undefined;
  const env = routerEnv(config, deps.env);
  const defaultModel = pickDefaultModel(env, knows);
  const states = new DeploymentStates(() => deps.now());
  const board: Switchboard = {
    config,
    table,
    states,
    upstreams: UPSTREAMS,
    env,
    deps,
    log: (entry) => deps.log(entry),
  };
  const serving = {
    board,
    cache: new AnswerCache(() => deps.now()),
    reserve: deps.reserve,
    onUsage: (record: UsageRecord) => deps.onUsage?.(record),
  };

  const answer = async (
    request: Request,
    caller: Caller,
    kind: "messages" | "count_tokens",
    requestId: string,
  ): Promise<Response> => {
    const refuse = (failure: RouterFailure): Response => errorResponse(failure, requestId);
    const hops = checkHops(request.headers);
    if (!hops.ok) return refuse(hops.failure);
    const bytes = await readBytes(request);
    if (!bytes.ok) return refuse(bytes.failure);
    const read = await MessagesRequest.from(bytes.value, kind);
    if (!read.ok) return refuse(read.failure);
    const isSession = caller.sessionId !== null;
    const checked = isSession ? await limitRequest(read.value, kind) : read;
    if (!checked.ok) return refuse(checked.failure);
    const inbound = forwardedHeaders(request.headers);
    if (isSession) limitHeaders(inbound);
    const { model } = checked.value;
    const match = table.match(model);
    if (match === undefined) return refuse({ status: 404, message: unknownModel(model, table.names) });
    return serve(
      {
        request: checked.value,
        kind,
        inbound,
        // Claude Code sends it, and no provider of this API reads anything else.
        search: new URL(request.url).searchParams.get("beta") === "true" ? "?beta=true" : "",
        requestId,
        signal: request.signal,
        caller,
        match,
        bypassCache: /no-cache|no-store/.test(request.headers.get("cache-control") ?? ""),
      },
      serving,
    );
  };
  const safely = async (work: (requestId: string) => Promise<Response>): Promise<Response> => {
    const requestId = deps.newId("req");
    try {
      return await work(requestId);
    } catch (error) {
      deps.log({ event: "router_error", request_id: requestId, error: String(error) });
      return errorResponse({ status: 500, message: "The router failed; its log says why." }, requestId);
    }
  };

  const messages: Router["messages"] = (request, caller) => safely((id) => answer(request, caller, "messages", id));
  return {
    messages,
    chatCompletions: (request, caller) =>
      safely(() => answerChat(request, (translated) => messages(translated, caller), deps)),
    countTokens: (request, caller) => safely((id) => answer(request, caller, "count_tokens", id)),
    models: (request) =>
      safely(async (requestId) => {
        const models = listModels(config, [defaultModel]);
        const list = request.headers.has("anthropic-version") ? toAnthropicList(models) : toOpenAiList(models);
        return Response.json(list, { headers: { "request-id": requestId } });
      }),
    knows,
    routeNames: () => table.names,
    defaultModel,
    get inFlight() {
      return states.inFlight;
    },
  };
}

function unknownModel(model: string, names: readonly string[]): string {
  return `No route takes model "${model}". Routes: ${names.join(", ")}.`;
}

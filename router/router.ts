/**
 * The model router's front: Anthropic Messages in, any provider behind it.
 *
 * Everything outside `router/` talks to it through this file. The router never
 * authenticates a caller: the door that calls it has done so and says who it is.
 */
import type { RouterConfig } from "./config.ts";
import type { ApiFormat, Deployment } from "./deployment.ts";
import { errorResponse, type RouterFailure } from "./errors.ts";
import { pickDefaultModel } from "./model-names.ts";
import { checkMessages, forwardedHeaders, parseObject, readBytes } from "./request.ts";
import { compileRoutes, type Env, toDeployment, type Unusable, unusableMessage } from "./routes.ts";
import { anthropicUpstream } from "./upstreams/anthropic.ts";
import { demoUpstream } from "./upstreams/demo.ts";
import type { Upstream, UpstreamDeps } from "./upstreams/upstream.ts";

/** Who is calling, as the door that authenticated the request knows it. */
export interface Caller {
  /** Account that pays. Cache entries and usage never cross it. */
  readonly account: string;
  /** Id of the API key used, or null when the engine of a session calls. */
  readonly keyId: string | null;
  /** Session whose engine calls, or null for a direct API call. */
  readonly sessionId: string | null;
}

export interface RouterDeps extends UpstreamDeps {
  /** Provider keys and addresses; read at each call, never kept. */
  readonly env: Env;
  /** One structured line. Never holds a key or a prompt. */
  log(entry: Record<string, unknown>): void;
}

/** All methods answer, never throw: a failure is a Response in Anthropic's error shape. */
export interface Router {
  /** `POST /v1/messages` */
  messages(request: Request, caller: Caller): Promise<Response>;
  /** `POST /v1/messages/count_tokens` */
  countTokens(request: Request, caller: Caller): Promise<Response>;
  /** Whether some route takes this name. */
  knows(model: string): boolean;
  /** Every `model_name` of the configuration, and `demo/*`. */
  routeNames(): readonly string[];
  /** The model for a request that names none. */
  readonly defaultModel: string;
}

const UPSTREAMS: Readonly<Partial<Record<ApiFormat, Upstream>>> = { anthropic: anthropicUpstream, demo: demoUpstream };

export function createRouter(config: RouterConfig, deps: RouterDeps): Router {
  const table = compileRoutes(config);
  const knows = (model: string): boolean => table.match(model) !== undefined;

  const serve = async (request: Request, kind: "messages" | "count_tokens"): Promise<Response> => {
    const requestId = deps.newId("req");
    const refuse = (failure: RouterFailure): Response => errorResponse(failure, requestId);
    const bytes = await readBytes(request);
    if (!bytes.ok) return refuse(bytes.failure);
    const object = parseObject(bytes.value);
    if (!object.ok) return refuse(object.failure);
    const checked = checkMessages(object.value, kind);
    if (!checked.ok) return refuse(checked.failure);
    const body = checked.value;
    const match = table.match(body.model);
    if (match === undefined) return refuse({ status: 404, message: unknownModel(body.model, table.names) });
    const found = match.entries.map((entry) => toDeployment(entry, match, deps.env));
    const deployment = found.find((each): each is Deployment => !("unusable" in each));
    if (deployment === undefined) {
      return refuse({ status: 401, message: unusableMessage(found[0] as Unusable, body.model) });
    }
    const upstream = UPSTREAMS[deployment.apiFormat];
    if (upstream === undefined) return refuse({ status: 500, message: `No upstream for ${deployment.apiFormat}.` });
    const inbound = forwardedHeaders(request.headers);
    const search = new URL(request.url).search;
    try {
      return await upstream(
        {
          body,
          raw: bytes.value,
          kind,
          inbound,
          search,
          requestId,
          deployment,
          signal: request.signal,
          onUsage: () => undefined,
        },
        deps,
      );
    } catch {
      return refuse({ status: 502, message: `The upstream of "${deployment.route}" could not be reached.` });
    }
  };

  return {
    messages: (request) => serve(request, "messages"),
    countTokens: (request) => serve(request, "count_tokens"),
    knows,
    routeNames: () => table.names,
    defaultModel: pickDefaultModel(deps.env, knows),
  };
}

function unknownModel(model: string, names: readonly string[]): string {
  return `No route takes model "${model}". Routes: ${names.join(", ")}.`;
}

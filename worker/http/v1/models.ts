import { ModelListQuery } from "@gantry/protocol/api/lists.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { BetaModelInfo } from "@anthropic-ai/sdk/resources/beta/models";
import type { Context } from "hono";
import { modelsOf } from "../../models/models.ts";
import type { App } from "../request/context.ts";
import { callerOf } from "./messages.ts";
import { found, readQuery } from "../request/query.ts";

/** `/v1/models`: the router's model names, in the shape of Anthropic's Models API. */

/**
 * `GET /v1/models`: the names to choose from; routes with a star accept more. A client that sends no `anthropic-version`
 * is taken for an OpenAI client and gets the list in OpenAI's shape.
 */
export async function listModelsDoor(c: Context<App>): Promise<Response> {
  if (c.req.header("anthropic-version") === undefined) return modelsOf(c.env).models(c.req.raw, callerOf(c));
  const query = readQuery(c, ModelListQuery);
  const wanted = query["lifecycle[]"] ?? ["active", "deprecated"];
  const models = (await namedModels(c)).filter((model) => wanted.includes(model.lifecycle));
  if (query.after_id !== undefined && query.before_id !== undefined)
    throw new RequestRefused({
      code: "invalid_request",
      field: "before_id",
      reason: "cannot be combined with after_id",
    });
  const at = indexOf(models, query.after_id, "after_id") ?? indexOf(models, query.before_id, "before_id");
  const rest =
    at === null ? models : query.before_id === undefined ? models.slice(at + 1) : models.slice(0, at).toReversed();
  const page = rest.slice(0, query.limit);
  const data = query.before_id === undefined ? page : page.toReversed();
  return c.json({
    data,
    has_more: rest.length > page.length,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
  });
}

/** `GET /v1/models/{id}`: a listed model, or any other name that a route accepts. */
export async function retrieveModel(c: Context<App>): Promise<Response> {
  const id = c.req.param("id") ?? "";
  const named = (await namedModels(c)).find((model) => model.id === id);
  const model = named ?? (modelsOf(c.env).knows(id) ? toModel({ id, display_name: id }) : null);
  return c.json(found(model, "Model", id));
}

/** The router's list. The router answers with a `Response`, because it can also run as a separate Worker. */
async function namedModels(c: Context<App>): Promise<BetaModelInfo[]> {
  const request = new Request(c.req.url, { headers: { "anthropic-version": "2023-06-01" } });
  const response = await modelsOf(c.env).models(request, callerOf(c));
  const { data } = await response.json<{ data: ListedModel[] }>();
  return data.map(toModel);
}

type ListedModel = Pick<BetaModelInfo, "id" | "display_name"> & Partial<BetaModelInfo>;

/** Unknown properties of a model are null; an unknown release date is the epoch, as in Anthropic's list. */
function toModel(model: ListedModel): BetaModelInfo {
  return {
    type: "model",
    created_at: "1970-01-01T00:00:00Z",
    max_input_tokens: null,
    max_tokens: null,
    capabilities: null,
    line: null,
    lifecycle: "active",
    deprecated_at: null,
    retires_at: null,
    allowed_fallback_models: [],
    ...model,
  } satisfies BetaModelInfo;
}

function indexOf(models: readonly BetaModelInfo[], id: string | undefined, field: string): number | null {
  if (id === undefined) return null;
  const at = models.findIndex((model) => model.id === id);
  if (at >= 0) return at;
  throw new RequestRefused({ code: "invalid_request", field, reason: "is not the id of a listed model" });
}

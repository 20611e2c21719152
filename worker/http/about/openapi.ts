import { ApiErrorAnswer, ANSWERS as NAMED, FlatError, QueryError } from "@gantry/protocol/api/answers.ts";
import { FileFields } from "@gantry/protocol/api/files.ts";
import { z } from "zod";
import { ANSWERS } from "../routes/answers.ts";
import { PUBLIC_ROUTES, ROUTES, querySchemaOf } from "../routes/routes.ts";
import type { Route } from "../routes/route.ts";
import type { RouteName } from "../routes/routes.ts";

/**
 * The OpenAPI document. It is built from the table of routes and from the schemas that check requests, so it cannot
 * disagree with them.
 */

type Json = Record<string, unknown>;

/** Why a request may fail, by status. */
const ERRORS: Readonly<Record<number, string>> = {
  400: "A field, a parameter or a header is invalid; the answer names it",
  401: "The key is missing, wrong, expired or revoked",
  403: "The key has none of the scopes of this route, or the Host or Origin header is not allowed",
  404: "The object does not exist in this account",
  409: "The object's state does not allow this, or the idempotency key is in use",
  413: "The body is too large",
  422: "The run ended without an answer: it reached a limit or was refused",
  429: "Too many prompts are waiting, the account has too much open at the same time, or the model's provider has reached its rate limit",
  500: "Internal error; the log has the details under the request id",
  502: "The model's provider failed",
  503: "The sandbox was lost or does not respond",
  504: "The run exceeded its time limit",
  507: "The disk is nearly full",
};

/** Routes that wait for the end of a run and may answer with its failure. */
const WAIT_FOR_RUNS: readonly string[] = [
  "POST /claude-code",
  "GET /claude-code/:sessionId/:runId",
  "POST /agent/message",
  "POST /query",
  "POST /container/process",
];

let made: Json | null = null;

/** The document. It has no `servers`, because the server it describes serves it. */
export function openApi(version: string): Json {
  made ??= {
    openapi: "3.1.1",
    info: {
      title: "Gantry",
      version,
      description: "Real Claude Code as a service, with any model.",
      license: { name: "MIT", identifier: "MIT" },
    },
    security: [{ bearer: [] }, { apiKey: [] }],
    tags: [...new Set(PUBLIC_ROUTES.map(tagOf))].map((name) => ({ name })),
    paths: paths(),
    components: {
      schemas: schemas(),
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        apiKey: { type: "apiKey", in: "header", name: "x-api-key" },
      },
    },
  };
  return made;
}

/** A route's path in OpenAPI notation: `/v1/sessions/{id}`. */
export function shownPath(name: string): string {
  return (name.split(" ")[1] ?? "").replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}");
}

/** The group of a route: `sessions`, `keys`, `doors`. */
function tagOf(name: string): string {
  const [, first, second] = shownPath(name).split("/");
  return first === "v1" ? (second ?? "") : "doors";
}

function paths(): Json {
  const found: Record<string, Json> = {};
  for (const name of PUBLIC_ROUTES) {
    const path = (found[shownPath(name)] ??= {});
    path[(name.split(" ")[0] ?? "").toLowerCase()] = operation(name, ROUTES[name]);
  }
  return found;
}

function operation(name: RouteName, route: Route): Json {
  const [method = ""] = name.split(" ");
  const open = route.access === "open";
  return {
    operationId: `${method.toLowerCase()}${shownPath(name).replaceAll(/[^a-z]+/gi, "_")}`.replace(/_$/, ""),
    summary: route.summary,
    tags: [tagOf(name)],
    ...(open ? { security: [] } : { "x-scopes": route.access }),
    parameters: [
      ...pathParameters(name),
      ...queryParameters(querySchemaOf(route)),
      ...(method === "POST" && !open ? [IDEMPOTENCY_KEY] : []),
    ],
    ...requestBody(route),
    responses: responses(name, route),
  };
}

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header",
  description: "The request is carried out once per key within 24 hours; a repeat gets the first answer.",
  schema: { type: "string", minLength: 1, maxLength: 255 },
};

function pathParameters(name: string): Json[] {
  return [...shownPath(name).matchAll(/\{(\w+)\}/g)].map((match) => ({
    name: match[1],
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

function queryParameters(schema: z.ZodObject): Json[] {
  const { properties = {}, required = [] } = toSchema(schema) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, each]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema: each,
  }));
}

function requestBody(route: Route): Json {
  if (route.body !== undefined)
    return { requestBody: { required: true, content: { "application/json": { schema: toSchema(route.body) } } } };
  if (!route.form) return {};
  const { properties = {} } = toSchema(FileFields) as { properties?: Json };
  const schema = {
    type: "object",
    required: ["file"],
    properties: { ...properties, file: { type: "string", contentMediaType: "application/octet-stream" } },
  };
  return { requestBody: { required: true, content: { "multipart/form-data": { schema } } } };
}

function responses(name: RouteName, route: Route): Json {
  const answer = ANSWERS[name] ?? { 200: { "application/json": z.looseObject({}) } };
  const good = Object.entries(answer).map(([status, types]) => [
    status,
    {
      description:
        status === "101"
          ? "A WebSocket"
          : status === "202"
            ? "The run is still in progress; `Location` is the address to poll"
            : route.summary,
      ...(Object.keys(types as object).length === 0
        ? {}
        : { content: contents(types as Record<string, z.ZodType | null>) }),
    },
  ]);
  const bad = errorsOf(name, route).map((status) => [
    String(status),
    {
      description: ERRORS[status],
      content: { "application/json": { schema: refTo(errorSchemaOf(name)) } },
    },
  ]);
  return Object.fromEntries([...good, ...bad]) as Json;
}

function contents(types: Readonly<Record<string, z.ZodType | null>>): Json {
  return Object.fromEntries(
    Object.entries(types).map(([type, schema]) => [type, { schema: schema === null ? {} : refTo(schema) }]),
  );
}

function refTo(schema: z.ZodType): Json {
  const id = NAMED.get(schema)?.id;
  return id === undefined ? toSchema(schema) : { $ref: `#/components/schemas/${id}` };
}

/** Error statuses that a route may answer with. */
function errorsOf(name: string, route: Route): number[] {
  const [method] = name.split(" ");
  const open = route.access === "open";
  const statuses = new Set([403, 500]);
  if (!open) for (const status of [400, 401]) statuses.add(status);
  if (name.includes(":")) statuses.add(404);
  if (method === "POST") for (const status of [409, 413, 507]) statuses.add(status);
  if (method === "DELETE") statuses.add(409);
  if (/POST .*(claude-code|message|query|events|sessions|completions)$/.test(name)) statuses.add(429).add(404);
  if (WAIT_FOR_RUNS.includes(name)) for (const status of [409, 422, 502, 503, 504]) statuses.add(status);
  if (/POST \/v1\/(messages|chat)/.test(name)) for (const status of [404, 502, 503]) statuses.add(status);
  return [...statuses].toSorted((a, b) => a - b);
}

/** The schema of a route's errors: one of the three shapes that `base/errors.ts` writes. */
function errorSchemaOf(name: string): z.ZodType {
  if (name === "POST /query") return QueryError;
  return shownPath(name).startsWith("/v1/") ? ApiErrorAnswer : FlatError;
}

/** JSON Schema of what a client may send, before defaults and conversions apply. */
function toSchema(schema: z.ZodType): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

function schemas(): Json {
  const { schemas: all } = z.toJSONSchema(NAMED, {
    io: "output",
    unrepresentable: "any",
    uri: (id) => `#/components/schemas/${id}`,
  });
  return Object.fromEntries(
    Object.entries(all).map(([id, schema]) => {
      const { $schema: _dialect, $id: _id, ...rest } = schema as Json;
      return [id, rest];
    }),
  );
}

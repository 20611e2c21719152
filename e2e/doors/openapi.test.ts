import { ROUTE_NAMES, accessTo } from "@gantry/worker/http/routes/routes.ts";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry } from "../kit/gantry.ts";

/** What `/openapi.json` says is what happens: its fields are checked, its answers are given, its errors name what is wrong. */

type Json = Record<string, unknown>;
interface Operation {
  readonly parameters: readonly { name: string; in: string }[];
  readonly requestBody?: { content: Record<string, { schema: Json }> };
  readonly responses: Record<string, { content?: Record<string, { schema: Json }> }>;
}

let gantry: Gantry;
let document: { paths: Record<string, Record<string, Operation>> };
const ajv = new Ajv2020({ strict: false, validateFormats: false });
/** One thing of each kind, of this account. */
const things: Record<string, string> = {};

const TEXT = [{ type: "text", text: "What is 1 + 1?" }];
/** Bodies that are good, for routes whose required fields are more than a text. */
const BODIES: Record<string, Json> = {
  "POST /v1/sessions/:id/events": { events: [{ type: "user.message", content: TEXT }] },
  "POST /v1/keys": { name: "x", scopes: ["read"] },
  "POST /v1/agents": { name: "x", model: "demo/scripted" },
  "POST /v1/sessions/:id/resources": { type: "file", file_id: "file_x" },
  "POST /v1/sessions/:id/rewind": { run_id: "run_x" },
  "POST /v1/vaults/:id/credentials": {
    auth: { type: "static_bearer", token: "x", mcp_server_url: "https://mcp.example.com/x" },
  },
  "POST /container/process": { type: "prompt", payload: { prompt: "What is 1 + 1?" } },
};

beforeAll(async () => {
  gantry = await Gantry.start();
  document = (await (await fetch(`${gantry.url}/openapi.json`)).json()) as typeof document;
  ajv.addSchema(document, "document");
  const make = async (path: string, body: unknown): Promise<string> =>
    ((await (await gantry.post(path, body)).json()) as { id: string }).id;
  things["agents"] = await make("/v1/agents", { name: "x", model: "demo/scripted" });
  things["environments"] = await make("/v1/environments", { name: "x" });
  things["vaults"] = await make("/v1/vaults", { display_name: "x" });
  things["keys"] = await make("/v1/keys", { name: "x", scopes: ["read"] });
  things["sessions"] = (await gantry.run({ prompt: "What is 1 + 1?" })).sessionId;
  const form = new FormData();
  form.append("file", new Blob(["x"]), "x.txt");
  const file = await gantry.fetch("/v1/files", { method: "POST", body: form });
  things["files"] = ((await file.json()) as { id: string }).id;
});
afterAll(() => gantry.remove());

const operationOf = (name: string): Operation | undefined => {
  const [method = "", path = ""] = name.split(" ");
  return document.paths[path.replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}")]?.[method.toLowerCase()];
};

/** The address of a route, with things that are there, or others. */
function addressOf(name: string, id?: string): string {
  const path = name.split(" ")[1] ?? "";
  const kind = /^\/v1\/(\w+)\/:id/.exec(path)?.[1] ?? "";
  return path.replace(/:id(\{[^}]*\})?/, id ?? things[kind] ?? "x").replaceAll(/:\w+/g, "x");
}

function call(
  name: string,
  init: { id?: string; query?: string; body?: unknown; key?: string } = {},
): Promise<Response> {
  const [method = ""] = name.split(" ");
  return fetch(gantry.url + addressOf(name, init.id) + (init.query ?? ""), {
    method,
    headers: { authorization: `Bearer ${init.key ?? gantry.key}` },
    ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
  });
}

/** The field that an error names, in each of the three shapes. */
async function fieldOf(response: Response): Promise<[number, string]> {
  const body = (await response.json()) as { field?: string; error?: { param?: string } };
  return [response.status, body.field ?? body.error?.param ?? JSON.stringify(body)];
}

/** A body that a schema takes, with as little in it as possible. */
function least(name: string, schema: Json): Json {
  if (BODIES[name]) return BODIES[name];
  const properties = (schema["properties"] ?? {}) as Record<string, Json>;
  const required = (schema["required"] ?? []) as string[];
  return Object.fromEntries(
    required.map((field) => [field, typesOf(properties[field] ?? {}).has("string") ? "x" : {}]),
  );
}

function typesOf(schema: Json): Set<string> {
  const choices = (schema["anyOf"] ?? schema["oneOf"] ?? schema["allOf"]) as Json[] | undefined;
  if (choices) return new Set(choices.flatMap((each) => [...typesOf(each)]));
  if (schema["const"] !== undefined) return new Set([typeof schema["const"]]);
  if (schema["enum"]) return new Set((schema["enum"] as unknown[]).map((value) => typeof value));
  return new Set([schema["type"] ?? "any"].flat() as string[]);
}

/** A value of a type that a schema does not take; undefined: it takes everything. */
function wrongFor(schema: Json): unknown {
  const types = typesOf(schema);
  if (types.has("any")) return undefined;
  return !types.has("boolean") ? true : !types.has("string") ? "§" : undefined;
}

/** Routes for people's keys; those under `/sandbox` are for what runs in one, with a token of its own. */
const closed = ROUTE_NAMES.filter(
  (name) => accessTo(...(name.split(" ") as [string, string])) !== "open" && !name.includes(" /sandbox/"),
);
/** Bodies that the router checks, whose fields are its provider's affair. */
const withBody = closed.filter((name) => name.startsWith("POST") && !/\/v1\/(messages|chat)|files$/.test(name));

describe("the document", () => {
  it.each(withBody)("says which fields %s takes, and each is checked and named", async (name) => {
    const schema = operationOf(name)?.requestBody?.content["application/json"]?.schema;
    if (schema === undefined) return;
    const good = least(name, schema);
    expect(await fieldOf(await call(name, { body: { ...good, nonsense: 1 } }))).toEqual([400, "nonsense"]);
    for (const [field, each] of Object.entries((schema["properties"] ?? {}) as Record<string, Json>)) {
      const wrong = wrongFor(each);
      if (wrong === undefined) continue;
      const [status, named] = await fieldOf(await call(name, { body: { ...good, [field]: wrong } }));
      expect([field, status, named.split(/[.[]/)[0]]).toEqual([field, 400, field]);
    }
  });

  it.each(closed)("says which parameters %s takes; another one is named", async (name) => {
    if (/\/v1\/(messages|chat)/.test(name)) return;
    const [status, named] = await fieldOf(await call(name, { query: "?nonsense=1" }));
    expect([status, named]).toEqual([400, "nonsense"]);
  });

  it.each(
    ROUTE_NAMES.filter(
      (name) =>
        name.startsWith("GET") &&
        !/stream|ws|content|docs|claude-code\/:|:work|work\/poll|:thread|:run|:resource|templates\/:|:credential|:path|archive$|GET \/sandbox/.test(
          name,
        ),
    ),
  )("describes what %s answers", async (name) => {
    const response = await call(name, name.includes("models/:id") ? { id: "demo/scripted" } : {});
    const schema = operationOf(name)?.responses[String(response.status)]?.content?.["application/json"]?.schema;
    expect([name, response.status, schema !== undefined]).toEqual([name, 200, true]);
    const body: unknown = await response.json();
    expect([check(schema ?? {}, body), name]).toEqual([null, name]);
  });

  it.each(closed)("describes the errors of %s", async (name) => {
    const response = await call(name, { key: "gk_wrong" });
    const schema = operationOf(name)?.responses[String(response.status)]?.content?.["application/json"]?.schema;
    expect([response.status, check(schema ?? {}, await response.json())]).toEqual([401, null]);
  });
});

/** What is wrong with a value by a schema of the document; null: nothing. */
function check(schema: Json, value: unknown): string | null {
  const resolved = JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"document#/')) as Json;
  return ajv.validate(resolved, value) ? null : ajv.errorsText();
}

describe("things of another account", () => {
  const KINDS = ["agents", "environments", "sessions", "files", "keys"];
  // A WebSocket's address says first that it is one.
  const routes = closed
    .filter((name) => !name.endsWith("/ws"))
    .filter((name) => KINDS.some((kind) => name.includes(` /v1/${kind}/:id`)));

  it.each(routes)("%s answers as for unknown ones: 404", async (name) => {
    const made = await gantry.post("/v1/keys", { name: "x", scopes: ["admin"], account: "stranger" });
    const { key } = (await made.json()) as { key: string };
    const schema = operationOf(name)?.requestBody?.content["application/json"]?.schema;
    const body = schema === undefined ? {} : { body: least(name, schema) };
    const theirs = addressOf(name).split("/")[3] ?? "";
    const unknown = theirs.slice(0, -2) + (theirs.endsWith("00") ? "11" : "00");
    const answers = [];
    for (const id of [theirs, unknown]) {
      const response = await call(name, { ...body, id, key });
      const text = (await response.text()).replaceAll(id, "ID").replaceAll(/req_\w+/g, "REQ");
      answers.push([response.status, text]);
    }
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]?.[0]).toBe(404);
  });
});

describe("GET /docs", () => {
  it("is a page that lets nothing in", async () => {
    const response = await fetch(`${gantry.url}/docs`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'sha256-/);
    expect(await response.text()).toContain("/v1/sessions/{id}/events");
  });
});

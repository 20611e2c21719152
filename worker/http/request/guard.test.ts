import { timingSafeEqual } from "node:crypto";
import { Hono } from "hono";
import { beforeAll, describe, expect, it } from "vitest";
import { ROUTES, ROUTE_NAMES, accessTo } from "../routes/routes.ts";
import type { App } from "./context.ts";
import { errorResponse } from "../../base/errors.ts";
import { authenticate, checkHost, keyOf } from "./guard.ts";

// workerd provides it in crypto.subtle, Node in node:crypto.
beforeAll(() => {
  Object.assign(crypto.subtle, {
    timingSafeEqual: (a: ArrayBuffer, b: ArrayBuffer) => timingSafeEqual(Buffer.from(a), Buffer.from(b)),
  });
});

const KEY = "gk_right";

/** The guards, followed by doors that all answer 200. */
function guarded(env: Partial<App["Bindings"]> = {}): (path: string, init?: RequestInit) => Promise<Response> {
  const app = new Hono<App>();
  app.use(checkHost);
  app.use(authenticate);
  for (const route of ROUTE_NAMES) {
    const [method = "", path = ""] = route.split(" ");
    app.on(method, path, (c) => c.json({ account: c.get("principal")?.account ?? null }));
  }
  app.onError((error, c) => errorResponse(error, c.req.path, "req_1"));
  return async (path, init) =>
    app.request(`http://localhost${path}`, init, { GANTRY_API_KEY: KEY, RUNNER_URL: "http://127.0.0.1:1", ...env });
}

describe("the key of a request", () => {
  it.each<[string, Record<string, string>, string | null]>([
    ["none", {}, null],
    ["a bearer token", { authorization: "Bearer abc" }, "abc"],
    ["a bearer token in lower case", { authorization: "bearer abc" }, "abc"],
    ["a bearer token after several spaces", { authorization: "Bearer   abc" }, "abc"],
    ["Anthropic's header", { "x-api-key": "abc" }, "abc"],
    ["both: the bearer token wins", { authorization: "Bearer abc", "x-api-key": "def" }, "abc"],
    ["another scheme", { authorization: "Basic abc" }, null],
    ["another scheme and Anthropic's header", { authorization: "Basic abc", "x-api-key": "def" }, "def"],
    ["a token of two words", { authorization: "Bearer abc def" }, null],
    ["a scheme alone", { authorization: "Bearer" }, null],
    ["a WebSocket's subprotocol", { "sec-websocket-protocol": "gantry, key.abc" }, "abc"],
    ["a WebSocket without one", { "sec-websocket-protocol": "gantry" }, null],
  ])("%s", (_name, headers, key) => {
    expect(keyOf(new Headers(headers))).toBe(key);
  });
});

describe("the Host header of a request", () => {
  it.each<[host: string, allowed: string | undefined, passes: boolean]>([
    ["localhost", undefined, true],
    ["localhost:8787", undefined, true],
    ["LOCALHOST:8787", undefined, true],
    ["127.0.0.1:8787", undefined, true],
    ["192.168.1.20", undefined, true],
    ["[::1]:8787", undefined, true],
    ["[fe80::1]", undefined, true],
    ["evil.example", undefined, false],
    ["evil.example:8787", undefined, false],
    ["localhost.evil.example", undefined, false],
    ["127.0.0.1.evil.example", undefined, false],
    ["127.0.0.1:8787.evil.example", undefined, false],
    ["evil.example#localhost", undefined, false],
    ["", undefined, false],
    ["gantry.example", "gantry.example", true],
    ["gantry.example:443", " other.example , Gantry.Example ", true],
    ["sub.gantry.example", "gantry.example", false],
    ["", "gantry.example", false],
    [":8787", undefined, false],
    ["anything.example", "*", true],
  ])("%s, where %s is allowed", async (host, allowed, passes) => {
    const request = guarded(allowed === undefined ? {} : { GANTRY_ALLOWED_HOSTS: allowed });
    const response = await request("/health", { headers: { host } });
    expect(response.status).toBe(passes ? 200 : 403);
    if (!passes) expect(await response.json()).toMatchObject({ error: "forbidden_host" });
  });

  it("an empty list allows no empty name", async () => {
    expect((await guarded({ GANTRY_ALLOWED_HOSTS: "" })("/health")).status).toBe(403);
  });
});

describe("the Origin header of a request", () => {
  it.each<[origin: string | undefined, passes: boolean]>([
    [undefined, true],
    ["http://localhost:8787", true],
    ["https://localhost:8787", true],
    ["http://localhost:8788", false],
    ["http://localhost", false],
    ["http://127.0.0.1:8787", false],
    ["https://evil.example", false],
    ["http://localhost:8787.evil.example", false],
    ["null", false],
    ["", false],
  ])("%s", async (origin, passes) => {
    const headers = { host: "localhost:8787", ...(origin === undefined ? {} : { origin }) };
    const response = await guarded()("/health", { headers });
    expect(response.status).toBe(passes ? 200 : 403);
    if (!passes) expect(await response.json()).toMatchObject({ error: "forbidden_origin" });
  });
});

describe("a route", () => {
  const host = { host: "localhost" };
  const pathOf = (route: string): string => (route.split(" ")[1] ?? "").replace(/:(\w+)(\{[^}]*\})?/g, "x");

  it.each(ROUTE_NAMES)("%s", async (route) => {
    const { access } = ROUTES[route];
    const [method = ""] = route.split(" ");
    const without = await guarded()(pathOf(route), { method, headers: host });
    expect(without.status).toBe(access === "open" ? 200 : 401);
    if (access !== "open") expect(without.headers.get("www-authenticate")).toBe("Bearer");
    const right = await guarded()(pathOf(route), { method, headers: { ...host, authorization: `Bearer ${KEY}` } });
    // The doors for sandboxes accept only a session's token.
    expect(right.status).toBe(access === "sandbox" ? 401 : 200);
    if (Array.isArray(access)) expect(await right.json()).toEqual({ account: "default" });
  });

  it.each(["/nowhere", "/v1/nowhere", "/health/x", "/v1%2Fkeys", "//", "/HEALTH"])(
    "%s, which does not exist, requires a key",
    async (path) => {
      expect((await guarded()(path, { headers: host })).status).toBe(401);
    },
  );

  it.each(["/v1/%6beys", "/%76%31/keys", "/v1/../v1/keys", "/v1/keys?x=/health", "/v1/keys#/health"])(
    "%s is /v1/keys, however it is written",
    async (path) => {
      expect((await guarded()(path, { headers: host })).status).toBe(401);
    },
  );

  it.each(["files/:path{.+}", "archive", "diff"])(
    "sec/1.3 %s of a session needs sessions or files, not read",
    (path) => {
      expect(accessTo("GET", `/v1/sessions/:id/${path}`)).toEqual(["sessions", "files"]);
    },
  );

  it("that the table does not know requires the scope admin", () => {
    expect(accessTo("GET", "/v2/everything")).toEqual(["admin"]);
    expect(accessTo("GET", "constructor")).toEqual(["admin"]);
    expect(accessTo("DELETE", "/health")).toEqual(["admin"]);
  });
});

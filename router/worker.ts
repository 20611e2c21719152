/**
 * The router as its own Worker: any Anthropic or OpenAI client in front, any provider behind, one API key.
 *
 * Its routes come from `litellm_config.yaml`, bundled at deploy time. Provider keys are secrets of the Worker.
 */
import bundledConfig from "../litellm_config.yaml";
import { effects } from "./base/effects.ts";
import { errorResponse } from "./base/errors.ts";
import { toLogLine } from "./base/log-line.ts";
import { parseRouterConfig } from "./config/config.ts";
import { createRouter, type Router } from "./router.ts";

/** Secrets and settings of the Worker. Provider keys are among them, each under its usual name. */
export interface RouterEnv {
  /** The key that callers send as `x-api-key` or `Authorization: Bearer`. */
  readonly GANTRY_API_KEY?: string;
  /** The whole text of a configuration that replaces the bundled one. */
  readonly LITELLM_CONFIG_TEXT?: string;
  readonly [name: string]: unknown;
}

const CALLER = { account: "default", keyId: "default", sessionId: null } as const;

/** Lives as long as the isolate, because it remembers which deployments are busy or cooling down. */
let current: { readonly env: RouterEnv; readonly router: Router } | null = null;

export default {
  async fetch(request: Request, env: RouterEnv): Promise<Response> {
    const { pathname } = new URL(request.url);
    const { method } = request;
    if (pathname === "/" && (method === "HEAD" || method === "GET")) return Response.json({ service: "gantry-router" });
    if (pathname === "/health" && (method === "HEAD" || method === "GET")) return Response.json({ status: "ok" });
    const door = DOORS[pathname];
    if (door === undefined) return refuse(404, `There is nothing at ${pathname}.`);
    if (method !== door.method) return refuse(405, `${pathname} takes ${door.method}.`, { allow: door.method });
    if (env.GANTRY_API_KEY === undefined || env.GANTRY_API_KEY === "") {
      return refuse(
        401,
        "This router has no API key yet: run `wrangler secret put GANTRY_API_KEY -c router/wrangler.jsonc`.",
      );
    }
    if (!(await isSame(shownKey(request.headers), env.GANTRY_API_KEY))) {
      return refuse(401, "The API key is missing or wrong: send it as `x-api-key` or `Authorization: Bearer`.");
    }
    return door.answer(routerOf(env), request);
  },
};

interface Door {
  readonly method: "GET" | "POST";
  answer(router: Router, request: Request): Promise<Response>;
}

const DOORS: Readonly<Partial<Record<string, Door>>> = {
  "/v1/messages": { method: "POST", answer: (router, request) => router.messages(request, CALLER) },
  "/v1/messages/count_tokens": { method: "POST", answer: (router, request) => router.countTokens(request, CALLER) },
  "/v1/chat/completions": { method: "POST", answer: (router, request) => router.chatCompletions(request, CALLER) },
  "/v1/models": { method: "GET", answer: (router, request) => router.models(request, CALLER) },
};

function routerOf(env: RouterEnv): Router {
  if (current?.env === env) return current.router;
  const { config, problems } = parseRouterConfig(env.LITELLM_CONFIG_TEXT ?? bundledConfig);
  for (const problem of problems) log({ event: "config_problem", ...problem });
  const strings = Object.fromEntries(Object.entries(env).filter(([, value]) => typeof value === "string"));
  const router = createRouter(config, { ...effects, env: strings as Record<string, string>, log });
  current = { env, router };
  return router;
}

function shownKey(headers: Headers): string {
  const bearer = /^bearer\s+(.+)$/i.exec(headers.get("authorization") ?? "");
  return headers.get("x-api-key") ?? bearer?.[1]?.trim() ?? "";
}

/** Compares digests, so that the time taken reveals nothing about the key. */
async function isSame(shown: string, key: string): Promise<boolean> {
  const digest = async (text: string): Promise<Uint8Array> =>
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  const [a, b] = await Promise.all([digest(shown), digest(key)]);
  let difference = 0;
  for (let index = 0; index < a.length; index++) difference |= (a[index] ?? 0) ^ (b[index] ?? 0);
  return difference === 0;
}

function refuse(status: number, message: string, headers: Record<string, string> = {}): Response {
  const response = errorResponse({ status, message }, effects.newId("req"));
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}

function log(entry: Record<string, unknown>): void {
  // oxlint-disable-next-line no-console -- a Worker's log is what it writes to the console
  console.log(toLogLine(entry));
}

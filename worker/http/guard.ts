import { RequestRefused } from "@gantry/protocol/error.ts";
import { createMiddleware } from "hono/factory";
import type { App, Principal } from "./context.ts";

/** Routes that need no key. Everything else does, whatever is added later. */
const OPEN = new Set(["/", "/health"]);

/**
 * Host and Origin, before anything else: a page in the user's browser must not reach a server on loopback, neither
 * by asking it directly (Origin) nor by making its own name point here (Host). An IP address cannot be such a name.
 */
export const checkHost = createMiddleware<App>(async (c, next) => {
  const host = c.req.header("host") ?? "";
  const name = host.replace(/:\d+$/, "").toLowerCase();
  const allowed = (c.env.GANTRY_ALLOWED_HOSTS ?? "").split(",").map((entry) => entry.trim().toLowerCase());
  const isAddress = /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || /^\[[0-9a-f:.]+\]$/.test(name);
  if (!isAddress && name !== "localhost" && !allowed.includes("*") && !allowed.includes(name)) {
    throw new RequestRefused({ code: "forbidden_host", host });
  }
  const origin = c.req.header("origin");
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    throw new RequestRefused({ code: "forbidden_origin", origin });
  }
  await next();
});

/**
 * The key a request carries, or null. A browser cannot set headers on a WebSocket: there it may come as a subprotocol,
 * `new WebSocket(url, ["gantry", "key.gk_..."])`, which no log of addresses shows.
 */
export function keyOf(headers: Headers): string | null {
  const bearer = /^Bearer\s+(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  const offered = headers
    .get("sec-websocket-protocol")
    ?.split(",")
    .map((name) => name.trim())
    .find((name) => name.startsWith("key."));
  return bearer ?? headers.get("x-api-key") ?? offered?.slice("key.".length) ?? null;
}

/** Deny by default: a route that is not in the list of open ones needs a key. */
export const authenticate = createMiddleware<App>(async (c, next) => {
  if (!OPEN.has(c.req.path) && c.get("principal") === undefined) {
    const key = keyOf(c.req.raw.headers);
    const principal = key === null ? null : await principalOf(key, c.env.GANTRY_API_KEY);
    if (!principal) throw new RequestRefused({ code: "unauthorized" });
    c.set("principal", principal);
  }
  await next();
});

async function principalOf(key: string, adminKey: string | undefined): Promise<Principal | null> {
  if (!adminKey) return null;
  const [given, right] = await Promise.all([digest(key), digest(adminKey)]);
  return crypto.subtle.timingSafeEqual(given, right) ? { account: "default", keyId: "admin" } : null;
}

function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}

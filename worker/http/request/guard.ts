import { Scope } from "@gantry/protocol/api/keys.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { matchedRoutes } from "hono/route";
import { ADMIN_KEY_ID, digest, findKey } from "../../accounts/keys.ts";
import { accessTo } from "../routes/routes.ts";
import type { Access } from "../routes/route.ts";
import type { App, Principal } from "./context.ts";

/**
 * Checks Host and Origin before anything else. A page in the user's browser must not reach a server on loopback, neither
 * by a direct request (Origin) nor through a host name that it points at this machine (Host). An IP address cannot be
 * repointed like that, so it always passes.
 */
export const checkHost = createMiddleware<App>(async (c, next) => {
  const host = c.req.header("host") ?? "";
  const name = host.replace(/:\d+$/, "").toLowerCase();
  const listed = (c.env.GANTRY_ALLOWED_HOSTS ?? "").split(",").map((entry) => entry.trim().toLowerCase());
  const allowed = listed.filter((entry) => entry !== "");
  const isAddress = /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || /^\[[0-9a-f:.]+\]$/.test(name);
  // In the cloud the platform only routes requests for this Worker's own names.
  const onOneMachine = c.env.RUNNER_URL !== undefined;
  if (onOneMachine && !isAddress && name !== "localhost" && !allowed.includes("*") && !allowed.includes(name)) {
    throw new RequestRefused({ code: "forbidden_host", host });
  }
  const origin = c.req.header("origin");
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    throw new RequestRefused({ code: "forbidden_origin", origin });
  }
  await next();
});

/**
 * The key that a request carries, or null. A browser cannot set headers on a WebSocket, so the key may also come as a
 * subprotocol, `new WebSocket(url, ["gantry", "key.gk_..."])`, which access logs do not record.
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

/** Scope of a work item's token. No key can have it. */
export const WORK_TOKEN_SCOPE = "work-token";

/** Scope of a session's token at the doors for sandboxes. No key can have it. */
export const SANDBOX_SCOPE = "sandbox";

/** Denies by default: unless `routes.ts` declares a route open, it requires a key with one of the route's scopes. */
export const authenticate = createMiddleware<App>(async (c, next) => {
  const access = accessOf(c);
  if (access !== "open") {
    const principal = c.get("principal") ?? (await principalOf(c));
    if (!principal) throw new RequestRefused({ code: "unauthorized" });
    // Set before the scope is checked: the sender is known, so a refused body is read to its end (`drainRefused`).
    c.set("principal", principal);
    const { scopes } = principal;
    if (access === "sandbox") {
      if (!scopes.includes(SANDBOX_SCOPE)) throw new RequestRefused({ code: "unauthorized" });
      return next();
    }
    // `authenticateWork` (work-token.ts) has already checked what this token may do.
    if (scopes.includes(WORK_TOKEN_SCOPE)) return next();
    if (!scopes.includes("admin") && !access.some((scope) => scopes.includes(scope)))
      throw new RequestRefused({ code: "forbidden_scope", needs: [...new Set([...access, "admin"])] });
  }
  await next();
});

/** Access to the matched route. If no route matches, any key gets the 404; a request without a key gets 401. */
function accessOf(c: Context<App>): Access {
  const route = matchedRoutes(c).find(({ method }) => method !== "ALL");
  if (route !== undefined) return accessTo(route.method, route.path);
  return accessTo("GET", c.req.path) === "open" ? "open" : Scope.options;
}

/** Identifies the installation's own key, or a key from the database. */
async function principalOf(c: Context<App>): Promise<Principal | null> {
  const key = keyOf(c.req.raw.headers);
  if (key === null) return null;
  if (await isAdminKey(key, c.env.GANTRY_API_KEY))
    return { account: "default", keyId: ADMIN_KEY_ID, scopes: ["admin"] };
  const known = await findKey(c.env, key, (work) => c.executionCtx.waitUntil(work));
  return known && { account: known.account, keyId: known.id, scopes: known.scopes, endsAt: known.expiresAt };
}

async function isAdminKey(key: string, adminKey: string | undefined): Promise<boolean> {
  if (!adminKey) return false;
  const [given, right] = await Promise.all([digest(key), digest(adminKey)]);
  return crypto.subtle.timingSafeEqual(given, right);
}

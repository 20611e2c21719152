import type { Scope } from "@gantry/protocol/api/keys.ts";

/** Who may use a route: anybody, or a key that has one of the scopes (or `admin`, which has all). */
export type Access = "open" | readonly Scope[];

const LOOK = ["read", "sessions"] as const;
const SESSIONS = ["sessions"] as const;
const CATALOG_LOOK = ["read", "agents", "sessions"] as const;
const CATALOG_CHANGE = ["agents"] as const;
const MODELS = ["models"] as const;
const FILES = ["files"] as const;
const ADMIN = ["admin"] as const;

/** Every route of `app.ts`, as it is written there. What is not in here is for `admin` alone. */
export const ACCESS: Readonly<Record<string, Access>> = {
  "GET /": "open",
  "GET /health": "open",
  "POST /claude-code": SESSIONS,
  "GET /demo/ws/:sessionId": SESSIONS,
  "POST /agent/message": SESSIONS,
  "POST /query": SESSIONS,
  "GET /debug": ADMIN,
  "GET /claude-code/debug": ADMIN,
  "POST /v1/messages": MODELS,
  "POST /v1/messages/count_tokens": MODELS,
  "POST /v1/chat/completions": MODELS,
  "GET /v1/models": ["models", "sessions", "agents", "read"],
  "GET /v1/models/:id{.+}": ["models", "sessions", "agents", "read"],
  "GET /v1/usage": LOOK,
  "GET /v1/approvals": LOOK,
  "POST /v1/sessions": SESSIONS,
  "GET /v1/sessions": LOOK,
  "GET /v1/sessions/:id": LOOK,
  "POST /v1/sessions/:id": SESSIONS,
  "DELETE /v1/sessions/:id": SESSIONS,
  "POST /v1/sessions/:id/archive": SESSIONS,
  "GET /v1/sessions/:id/runs": LOOK,
  "POST /v1/sessions/:id/runs/:run/cancel": SESSIONS,
  "POST /v1/sessions/:id/events": SESSIONS,
  "GET /v1/sessions/:id/events": LOOK,
  "GET /v1/sessions/:id/events/stream": LOOK,
  "POST /v1/agents": CATALOG_CHANGE,
  "GET /v1/agents": CATALOG_LOOK,
  "GET /v1/agents/:id": CATALOG_LOOK,
  "POST /v1/agents/:id": CATALOG_CHANGE,
  "GET /v1/agents/:id/versions": CATALOG_LOOK,
  "POST /v1/agents/:id/archive": CATALOG_CHANGE,
  "POST /v1/environments": CATALOG_CHANGE,
  "GET /v1/environments": CATALOG_LOOK,
  "GET /v1/environments/:id": CATALOG_LOOK,
  "POST /v1/environments/:id": CATALOG_CHANGE,
  "DELETE /v1/environments/:id": CATALOG_CHANGE,
  "POST /v1/environments/:id/archive": CATALOG_CHANGE,
  "POST /v1/files": FILES,
  "GET /v1/files": ["files", "sessions", "read"],
  "GET /v1/files/:id": ["files", "sessions", "read"],
  "GET /v1/files/:id/content": FILES,
  "DELETE /v1/files/:id": FILES,
  "POST /v1/keys": ADMIN,
  "GET /v1/keys": ADMIN,
  "GET /v1/keys/:id": ADMIN,
  "DELETE /v1/keys/:id": ADMIN,
  "GET /v1/audit": ADMIN,
};

/** Access to a route, by method and pattern. Own names only: `constructor` is no route. */
export function accessTo(method: string, pattern: string): Access {
  const route = `${method} ${pattern}`;
  return Object.hasOwn(ACCESS, route) ? (ACCESS[route] ?? ADMIN) : ADMIN;
}

import { RequestRefused } from "@gantry/protocol/error.ts";
import { newId } from "@gantry/protocol/ids.ts";
import { Hono } from "hono";
import { reportLater } from "../base/log.ts";
import { drainRefused } from "./request/body.ts";
import type { App } from "./request/context.ts";
import { DOORS } from "./doors.ts";
import { errorResponse } from "../base/errors.ts";
import { authenticate, checkHost } from "./request/guard.ts";
import { answerOnce } from "./request/idempotency.ts";
import { authenticateEngine } from "./v1/messages.ts";
import { readQuery } from "./request/query.ts";
import { safeHeaders } from "./request/safe-headers.ts";
import { authenticateSandbox } from "./from-sandbox/door.ts";
import { authenticateWork } from "./request/work-token.ts";
import { FixedPathsRouter } from "./routes/router.ts";
import { ROUTES, ROUTE_NAMES, querySchemaOf } from "./routes/routes.ts";
import type { Route } from "./routes/route.ts";

/** The app: the middleware that every request passes, then all doors. */
export function createApp(): Hono<App> {
  const app = new Hono<App>({ router: new FixedPathsRouter(ROUTE_NAMES) });

  app.use(async (c, next) => {
    const requestId = newId("request");
    const started = Date.now();
    c.set("requestId", requestId);
    await next();
    if (!c.res.headers.has("request-id")) c.header("request-id", requestId);
    c.header("x-request-id", requestId);
    reportLater(
      {
        event: "request",
        requestId,
        method: c.req.method,
        path: c.req.path,
        status: c.res.status,
        ms: Date.now() - started,
      },
      (work) => c.executionCtx.waitUntil(work),
    );
  });
  app.use(drainRefused);
  app.use(safeHeaders);
  app.use(checkHost);
  app.use("/v1/messages/*", authenticateEngine);
  app.use("/sandbox/*", authenticateSandbox);
  app.use("/v1/*", authenticateWork);
  app.use(authenticate);

  for (const name of ROUTE_NAMES) {
    const [method = "", path = ""] = name.split(" ");
    const route: Route = ROUTES[name];
    const query = querySchemaOf(route);
    const door = DOORS[name];
    app.on(method, path, (c) => {
      readQuery(c, query);
      return answerOnce(c, route, door);
    });
  }

  app.notFound((c) => {
    const allowed = allowedAt(c.req.path);
    const error =
      allowed.length > 0
        ? { code: "method_not_allowed" as const, method: c.req.method, allowed: allowed.join(", ") }
        : { code: "not_found" as const, what: `${c.req.method} ${c.req.path}` };
    return errorResponse(new RequestRefused(error), c.req.path, c.get("requestId"));
  });
  app.onError((error, c) => errorResponse(error, c.req.path, c.get("requestId")));
  return app;
}

const PATTERNS = ROUTE_NAMES.map((name) => {
  const [method = "", path = ""] = name.split(" ");
  // `:id` matches one segment of a path, `:id{.+}` the whole rest.
  const pattern = path.replaceAll(/:\w+(\{\.\+\})?/g, (_, rest: string | undefined) => (rest ? ".+" : "[^/]+"));
  return { method, pattern: new RegExp(`^${pattern}$`) };
});

/** Methods that the routes of a path accept. */
function allowedAt(path: string): string[] {
  return [...new Set(PATTERNS.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))];
}

import { createMiddleware } from "hono/factory";
import type { App } from "./context.ts";

/** Headers of every answer. A door that sets one of them keeps its own value. */
const SAFE_HEADERS = {
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
  "cross-origin-resource-policy": "same-origin",
};

/** Adds the headers that keep browsers and caches from using an answer in a way that it is not meant for. */
export const safeHeaders = createMiddleware<App>(async (c, next) => {
  await next();
  for (const [name, value] of Object.entries(SAFE_HEADERS)) if (!c.res.headers.has(name)) c.header(name, value);
});

import { Hono } from "hono";
import { expect, it } from "vitest";
import type { App } from "./context.ts";
import { safeHeaders } from "./safe-headers.ts";

const app = new Hono<App>();
app.use(safeHeaders);
app.get("/json", (c) => c.json({}));
app.get("/stream", () => new Response("x", { headers: { "cache-control": "no-store, no-transform" } }));
app.get("/error", () => {
  throw new Error("no");
});
app.onError(() => new Response("no", { status: 500 }));

it.each([
  ["/json", "no-store"],
  ["/stream", "no-store, no-transform"],
  ["/error", "no-store"],
  ["/nothing", "no-store"],
])("sec/8 %s has the headers of an API answer", async (path, cache) => {
  const { headers } = await app.request(path);
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
  expect(headers.get("cache-control")).toBe(cache);
});

import { Hono } from "hono";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { App } from "../request/context.ts";
import * as page from "./docs-page.ts";
import { docsDoor, openApiDoor } from "./docs.ts";

const app = new Hono<App>();
app.get("/docs", docsDoor);
app.get("/openapi.json", openApiDoor);

describe.each(["/docs", "/openapi.json"])("GET %s", (path) => {
  let etag = "";
  beforeAll(async () => {
    etag = (await app.request(path)).headers.get("etag") ?? "";
  });

  it("sec/M11 has an ETag, and is not sent again to a client that has it", async () => {
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const again = await app.request(path, { headers: { "if-none-match": known } });
      expect([again.status, await again.text(), again.headers.get("etag")]).toEqual([304, "", etag]);
    }
    expect((await app.request(path, { headers: { "if-none-match": '"other"' } })).status).toBe(200);
  });

  it("sec/M11 is made once, not for each request", async () => {
    const serialise = vi.spyOn(JSON, "stringify");
    for (let index = 0; index < 100; index++)
      expect((await (await app.request(path)).text()).length).toBeGreaterThan(10_000);
    expect(serialise).not.toHaveBeenCalled();
  });
});

it("the page is HTML with a policy that allows no script", async () => {
  const response = await app.request("/docs");
  expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  expect(response.headers.get("content-security-policy")).toContain(await page.docsStyleHash());
});

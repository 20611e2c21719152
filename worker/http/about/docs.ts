import type { Context } from "hono";
import type { App } from "../request/context.ts";
import { docsPage, docsStyleHash } from "./docs-page.ts";
import { openApi } from "./openapi.ts";
import { VERSION } from "./root.ts";

/** `GET /openapi.json`: the OpenAPI document. */
export function openApiDoor(c: Context<App>): Response {
  return c.json(openApi(VERSION), 200, { "cache-control": "no-cache" });
}

/** `GET /docs`: the OpenAPI document as an HTML page, which runs no script and fetches nothing. */
export async function docsDoor(c: Context<App>): Promise<Response> {
  const policy = `default-src 'none'; style-src '${await docsStyleHash()}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return c.body(docsPage(openApi(VERSION)), 200, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": policy,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
  });
}

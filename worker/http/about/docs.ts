import { toHex } from "@gantry/protocol/bytes.ts";
import type { Context } from "hono";
import { names } from "../../workspace/tags.ts";
import type { App } from "../request/context.ts";
import { docsPage, docsStyleHash } from "./docs-page.ts";
import { openApi } from "./openapi.ts";
import { VERSION } from "./root.ts";

/** A document and the headers to send it with. */
interface Kept {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Documents by name, made at the first request. Both routes are open to everybody, and making a page takes 30 ms of the
 * only thread.
 */
const kept = new Map<string, Kept>();

/** `GET /openapi.json`: the OpenAPI document. */
export function openApiDoor(c: Context<App>): Promise<Response> {
  return answer(c, "openapi", () => ({
    text: JSON.stringify(openApi(VERSION)),
    headers: { "content-type": "application/json" },
  }));
}

/** `GET /docs`: the OpenAPI document as an HTML page, which runs no script and fetches nothing. */
export function docsDoor(c: Context<App>): Promise<Response> {
  return answer(c, "docs", async () => ({
    text: docsPage(openApi(VERSION)),
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": `default-src 'none'; style-src '${await docsStyleHash()}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    },
  }));
}

type Made = { readonly text: string; readonly headers: Record<string, string> };

/** Sends a document, or 304 when the client has it. `make` is called for the first request only. */
async function answer(c: Context<App>, name: string, make: () => Made | Promise<Made>): Promise<Response> {
  const { bytes, headers } = kept.get(name) ?? (await keep(name, make));
  const known = c.req.header("if-none-match");
  if (known !== undefined && names(known, headers["etag"] ?? "")) return new Response(null, { status: 304, headers });
  return new Response(bytes, { headers });
}

async function keep(name: string, make: () => Made | Promise<Made>): Promise<Kept> {
  const { text, headers } = await make();
  const bytes = new TextEncoder().encode(text);
  const hash = toHex(await crypto.subtle.digest("SHA-256", bytes)).slice(0, 32);
  const made = { bytes, headers: { ...headers, "cache-control": "no-cache", etag: `"${hash}"` } };
  kept.set(name, made);
  return made;
}

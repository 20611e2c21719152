import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Env } from "../../base/env.ts";
import { STREAM_HEADERS } from "../../base/ndjson.ts";
import { tokenFor } from "./credentials.ts";

/**
 * MCP servers on behalf of a sandbox: the request is forwarded with the credential from the session's vaults,
 * which the sandbox never sees.
 */

/** Request headers that are forwarded, and response headers that are returned. */
const PASSED_ON = ["accept", "content-type", "mcp-session-id", "mcp-protocol-version", "last-event-id"];
const PASSED_BACK = ["content-type", "mcp-session-id", "mcp-protocol-version"];

const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

/** An MCP server of a session's agent, and the vaults that may open it. */
export interface ProxiedServer {
  readonly url: string;
  readonly vaultIds: readonly string[];
}

/** Forwards one request to an MCP server. Answers 502 when the server fails. Throws `RequestRefused` for too large a body. */
export async function proxyMcp(
  env: Env,
  account: string,
  { url, vaultIds }: ProxiedServer,
  request: Request,
): Promise<Response> {
  if (!["GET", "POST", "DELETE"].includes(request.method))
    return said(405, "An MCP server takes GET, POST and DELETE.");
  const body = request.method === "POST" ? await request.arrayBuffer() : null;
  if (body !== null && body.byteLength > MAX_REQUEST_BYTES)
    throw new RequestRefused({ code: "body_too_large", maxBytes: MAX_REQUEST_BYTES });
  const token = await tokenFor(env, account, vaultIds, url);
  const response = await askServer(env, url, request.method, pick(request.headers, PASSED_ON), body, token);
  if (response === null) return said(502, `The MCP server at ${new URL(url).host} does not answer.`);
  // Never follow to another address: the credential is for this one. And never return 401 or 403: the engine would try
  // to log in by itself.
  if (response.status >= 300 && response.status < 400) return said(502, "The MCP server redirects to another address.");
  if (response.status === 401 || response.status === 403)
    return said(
      502,
      `The MCP server refused ${token === null ? "a call without a credential" : "the vault's credential"}.`,
    );
  const headers = new Headers(STREAM_HEADERS);
  for (const [name, value] of pick(response.headers, PASSED_BACK)) headers.set(name, value);
  return new Response(response.body, { status: response.status, headers });
}

/** Sends a request to a server, with a token if there is one. Null: no answer, or the address is private. */
export async function askServer(
  env: Env,
  url: string,
  method: string,
  headers: Headers,
  body: BodyInit | null,
  token: string | null,
): Promise<Response | null> {
  if (token !== null) headers.set("authorization", `Bearer ${token}`);
  const trusted = (env.GANTRY_TRUSTED_MCP_HOSTS ?? "").split(",").map((host) => host.trim().toLowerCase());
  // On one machine plain `fetch` reaches whatever this machine can reach; the binding reaches only public addresses.
  const open =
    trusted.includes(new URL(url).host) || !env.PUBLIC_NET ? fetch : env.PUBLIC_NET.fetch.bind(env.PUBLIC_NET);
  try {
    return await open(url, { method, headers, body, redirect: "manual" });
  } catch {
    return null;
  }
}

function pick(from: Headers, names: readonly string[]): Headers {
  const headers = new Headers();
  for (const name of names) {
    const value = from.get(name);
    if (value !== null) headers.set(name, value);
  }
  return headers;
}

function said(status: number, text: string): Response {
  return new Response(`${text}\n`, { status, headers: { "content-type": "text/plain" } });
}

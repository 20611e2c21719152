import { RequestRefused } from "@gantry/protocol/error.ts";
import type { BetaManagedAgentsSessionAgent } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import { serversOf } from "../../catalog/agents/session-agent.ts";
import type { Env } from "../../base/env.ts";
import { filenameOf, mimeTypeOf } from "../../catalog/files/names.ts";
import { openFile, storeFile } from "../../catalog/files/store.ts";
import { sessionOf } from "../../session/call/session-of.ts";
import type { SessionStub } from "../../session/call/session-of.ts";
import { unseal } from "../../storage/seal.ts";
import { proxyMcp } from "../../catalog/vaults/mcp-proxy.ts";
import { fetchGit } from "../../resources/git.ts";
import { secretName } from "../../resources/resolve.ts";

/** The sandbox that sent a request. The caller of `answerSandbox` has authenticated it. */
export interface FromSandbox {
  readonly account: string;
  readonly sessionId: string;
  readonly requestId: string;
}

/**
 * `/sandbox/*`: the requests that a sandbox may send to the Worker, all for its own session. It may read its files, fetch
 * from its repositories, reach its agent's MCP servers with a credential it never sees, and store files that the agent
 * made. On one machine the sandbox authenticates with its session's token (`door.ts`). A container needs none: its only
 * way out, `egress.ts`, knows which session it belongs to.
 */
export async function answerSandbox(env: Env, from: FromSandbox, request: Request): Promise<Response> {
  const url = new URL(request.url);
  const [, , kind = "", id = "", ...rest] = url.pathname.split("/");
  const session = sessionOf(env, from.sessionId);
  if (kind === "files" && request.method === "GET") return file(env, from, session, id);
  if (kind === "git") return git(env, from, session, id, rest.join("/"), request);
  if (kind === "outputs" && request.method === "POST") return output(env, from, url.searchParams.get("name"), request);
  if (kind === "mcp") return mcp(env, from, session, id, request);
  throw unknown(`${request.method} ${url.pathname}`);
}

/** A mounted file, or a file that the current prompt refers to. */
async function file(env: Env, from: FromSandbox, session: SessionStub, id: string): Promise<Response> {
  const allowed = await session.mayReadFile(from.account, id);
  const opened = allowed ? await openFile(env, from.account, id) : null;
  if (!opened) throw unknown(`File ${JSON.stringify(id)}`);
  const { size_bytes, mime_type } = opened.file;
  return new Response(opened.body.pipeThrough(new FixedLengthStream(size_bytes)), {
    headers: { "content-type": mime_type, "content-length": String(size_bytes), "cache-control": "no-store" },
  });
}

/** The two HTTP requests that make up a `git fetch`. Pushes are refused. */
async function git(
  env: Env,
  from: FromSandbox,
  session: SessionStub,
  id: string,
  rest: string,
  request: Request,
): Promise<Response> {
  const resource = await session.resource(from.account, id);
  if (resource?.mount.type !== "repository") throw unknown(`Repository ${JSON.stringify(id)}`);
  const service = new URL(request.url).searchParams.get("service") ?? "git-upload-pack";
  const asks = `${request.method} ${rest}`;
  if (service !== "git-upload-pack" || (asks !== "GET info/refs" && asks !== "POST git-upload-pack"))
    return new Response("This repository is read-only here.\n", { status: 403 });
  const { mount, secret } = resource;
  const token = secret === null ? null : await unseal(env, secretName(from.sessionId, id), secret);
  return fetchGit(env, request, mount.url, rest === "info/refs" ? "info/refs" : "git-upload-pack", token);
}

/** An MCP server of the session's agent, by its index among the servers of the agent and its roster. */
async function mcp(
  env: Env,
  from: FromSandbox,
  session: SessionStub,
  index: string,
  request: Request,
): Promise<Response> {
  const setup = (await session.facts(from.account))?.setup;
  const agent = setup?.agent ? (JSON.parse(setup.agent) as BetaManagedAgentsSessionAgent) : null;
  const url = agent === null || !/^\d{1,4}$/.test(index) ? undefined : serversOf(agent)[Number(index)]?.url;
  const vaultIds = setup?.vaultIds ?? [];
  if (url === undefined || vaultIds.length === 0) throw unknown(`MCP server ${JSON.stringify(index)}`);
  return proxyMcp(env, from.account, { url, vaultIds }, request);
}

/** Stores a file that the agent left as output of the session. */
async function output(env: Env, from: FromSandbox, name: string | null, request: Request): Promise<Response> {
  const mimeType = mimeTypeOf(null, name);
  const { id, filename, size_bytes } = await storeFile(
    env,
    { account: from.account, keyId: from.sessionId, requestId: from.requestId },
    {
      filename: filenameOf(name, mimeType),
      mimeType,
      contents: request.body ?? noBytes(),
      scopeId: from.sessionId,
    },
    () => Promise.resolve(null),
  );
  return Response.json({ id, filename, size_bytes });
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}

function unknown(what: string): RequestRefused {
  return new RequestRefused({ code: "not_found", what });
}

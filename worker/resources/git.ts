import type { Env } from "../base/env.ts";
import { trustedHosts } from "./resolve.ts";

/**
 * Git over HTTP on behalf of a sandbox: the request is forwarded to the repository with a credential that the sandbox
 * never sees. Read-only: anything but a fetch is refused.
 */

/** Largest request body of a fetch: lines of wants and haves. */
const MAX_REQUEST_BYTES = 16 * 1024 * 1024;

const MAX_REDIRECTS = 3;

/** Time for the repository's host to begin its answer. */
const ANSWER_MS = 60_000;

/** Response headers that are forwarded to the sandbox. */
const PASSED_BACK = ["content-type", "cache-control", "etag"];

/**
 * Forwards one request of a fetch. Never rejects for the repository's sake: answers 502 when its host fails.
 * @param rest `info/refs` or `git-upload-pack`, the two requests of a fetch.
 * @param token credential of the repository; null for a public repository.
 */
export async function fetchGit(
  env: Env,
  request: Request,
  repository: string,
  rest: "info/refs" | "git-upload-pack",
  token: string | null,
): Promise<Response> {
  const body = request.method === "POST" ? await request.arrayBuffer() : null;
  if (body !== null && body.byteLength > MAX_REQUEST_BYTES) return said(413, "The request is too large.");
  const first = new URL(`${repository}/${rest}`);
  if (rest === "info/refs") first.searchParams.set("service", "git-upload-pack");
  const headers = new Headers({ "user-agent": "git/2 (gantry)", "accept-encoding": "identity" });
  for (const name of ["accept", "content-type", "content-encoding", "git-protocol"]) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  if (token !== null) headers.set("authorization", `Basic ${btoa(`x-access-token:${token}`)}`);
  let url = first;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
    const response = await ask(env, url, { method: request.method, headers, body, redirect: "manual" });
    if (response === null) return said(502, `${url.host} does not answer.`);
    if (response.status < 300 || response.status >= 400) return passedBack(response);
    await response.body?.cancel();
    const location = response.headers.get("location");
    // A renamed repository redirects. Never follow to another host: the credential is for this one.
    if (location === null || !URL.canParse(location, url))
      return said(502, `${url.host} redirects to an invalid address.`);
    const next = new URL(location, url);
    if (next.origin !== url.origin) return said(502, `${url.host} redirects to another host.`);
    url = next;
  }
  return said(502, `${url.host} redirects too often.`);
}

/** Sends one request. Null: no answer, or the address is private. */
async function ask(env: Env, url: URL, init: RequestInit): Promise<Response | null> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ANSWER_MS);
  // On one machine plain `fetch` reaches whatever this machine can reach; the binding reaches only public addresses.
  const open =
    trustedHosts(env).includes(url.host) || !env.PUBLIC_NET ? fetch : env.PUBLIC_NET.fetch.bind(env.PUBLIC_NET);
  try {
    return await open(url.href, { ...init, signal: controller.signal });
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function passedBack(response: Response): Response {
  const headers = new Headers({ "cache-control": "no-store" });
  for (const name of PASSED_BACK) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return new Response(response.body, { status: response.status, headers });
}

function said(status: number, text: string): Response {
  return new Response(`${text}\n`, { status, headers: { "content-type": "text/plain" } });
}

import type { Env } from "../base/env.ts";
import { trustedHosts } from "./resolve.ts";

/**
 * Git over HTTP on behalf of a sandbox: the request goes on to the repository with the credential that only this side
 * knows. Reading only: what is not a fetch is refused.
 */

/** The longest a fetch's own request may be: lines of wants and haves. */
const MAX_REQUEST_BYTES = 16 * 1024 * 1024;

const MAX_REDIRECTS = 3;

/** Time for the repository's host to begin its answer. */
const ANSWER_MS = 60_000;

/** What of an answer goes back. */
const PASSED_BACK = ["content-type", "cache-control", "etag"];

/**
 * @param rest `info/refs` or `git-upload-pack`, the two requests of a fetch.
 * @param token credential of the repository; null for a public one.
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
    // A renamed repository. Never to another host: the credential is for this one.
    if (location === null || !URL.canParse(location, url)) return said(502, `${url.host} redirects nowhere.`);
    const next = new URL(location, url);
    if (next.origin !== url.origin) return said(502, `${url.host} redirects to another host.`);
    url = next;
  }
  return said(502, `${url.host} redirects without end.`);
}

/** Null: nobody answered, or the address is private. */
async function ask(env: Env, url: URL, init: RequestInit): Promise<Response | null> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), ANSWER_MS);
  // On one machine the runtime would reach everything that this machine does; the binding reaches public addresses only.
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

import { waitUntil } from "cloudflare:workers";
import { joined, toHex } from "@gantry/protocol/bytes.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { newId, toId } from "@gantry/protocol/ids.ts";
import type { IdKind } from "@gantry/protocol/ids.ts";
import type { Context } from "hono";
import { digest } from "../../accounts/keys.ts";
import { MAX_KEPT_BYTES, repliesOf } from "../../accounts/replies.ts";
import type { KeptReply } from "../../accounts/replies.ts";
import { report } from "../../base/log.ts";
import { readBytes } from "./body.ts";
import type { Repeat } from "../../session/call/submit.ts";
import type { App, Door } from "./context.ts";
import { formFingerprint } from "./form-fingerprint.ts";
import { keyOf } from "./guard.ts";
import type { Route } from "../routes/route.ts";

/**
 * A request with `Idempotency-Key` is carried out once, even if its answer is lost on the way. A repeat gets the answer of
 * the first request (docs/decisions/0019-idempotency.md).
 */
const HEADER = "idempotency-key";

/** Headers that are stored with an answer. All others belong to a single request. */
const KEPT_HEADERS = ["content-type", "content-disposition", "cache-control", "location", "x-session-id", "x-run-id"];

/**
 * Calls a route's door, for a POST with an idempotency key only once per key. Throws `idempotency_mismatch` when the key
 * was used for a different request, and `idempotency_in_flight` while the first request is in progress.
 */
export async function answerOnce(c: Context<App>, route: Route, door: Door): Promise<Response> {
  const key = c.req.header(HEADER);
  if (key === undefined || c.req.method !== "POST" || route.access === "open") return door(c);
  if (!/^[\x20-\x7e]{1,255}$/.test(key))
    throw new RequestRefused({
      code: "invalid_request",
      field: "Idempotency-Key",
      reason: "must be 1 to 255 printable ASCII characters",
    });
  const path = new URL(c.req.url);
  const target = `POST ${path.pathname}${path.search}`;
  const fingerprint = route.form ? null : await fingerprintOf(c, target);
  const replies = repliesOf(c.env, c.get("principal").account);
  const begun = await replies.begin(key, fingerprint, c.get("requestId"));
  switch (begun.is) {
    case "other":
      throw new RequestRefused({ code: "idempotency_mismatch" });
    case "busy":
      throw new RequestRefused({ code: "idempotency_in_flight" });
    case "reply":
      if (fingerprint === null && (await formFingerprint(c, target)) !== begun.fingerprint)
        throw new RequestRefused({ code: "idempotency_mismatch" });
      return replay(c, await unsealed(c, route, key, begun.reply));
    case "go":
      break;
    default:
      return begun satisfies never;
  }
  const { ticket, origin } = begun;
  c.set("origin", { ...origin, target });
  const keep = async (reply: KeptReply): Promise<void> =>
    ticket.keep(await sealed(c, route, key, reply), fingerprint ?? c.get("fingerprint") ?? "");
  try {
    const response = await door(c);
    if (c.get("repeated")) response.headers.set("idempotent-replayed", "true");
    const unfinished = response.status === 202 && response.headers.has("x-run-id");
    if (response.status === 429 || response.status >= 500 || unfinished) {
      // A repeat may succeed, or find the run ended. It finds what this request created by its ids.
      ticket[Symbol.dispose]();
      return response;
    }
    if (isStream(response)) {
      // The story of a run is in its session's log; a repeat reads it from there.
      if (!response.headers.has("x-run-id")) return keepStream(response, keep, () => ticket[Symbol.dispose]());
      ticket[Symbol.dispose]();
      return response;
    }
    const body = new Uint8Array(await response.arrayBuffer());
    if (body.byteLength <= MAX_KEPT_BYTES) await keep({ ...headOf(response), body });
    ticket[Symbol.dispose]();
    return new Response(response.status === 204 ? null : body, response);
  } catch (error) {
    // A request that was refused before it changed anything frees its key. Storage that timed out may have changed something.
    const refused = error instanceof RequestRefused && error.error.code !== "storage_unavailable";
    if (refused && !c.get("begun")) await ticket.forget();
    ticket[Symbol.dispose]();
    throw error;
  }
}

/**
 * A new id. A request that is repeated under its idempotency key gets the same id again. `index` distinguishes several ids
 * of one kind.
 */
export async function idFor(c: Context<App>, kind: IdKind, index = 0): Promise<string> {
  const origin = c.get("origin");
  if (origin === undefined) return newId(kind);
  const bytes = await crypto.subtle.digest(
    "SHA-256",
    new TextEncoder().encode(`${origin.seed}\0${origin.target}\0${kind}\0${index}`),
  );
  return toId(kind, origin.at, new Uint8Array(bytes));
}

/**
 * How `submit` finds what an earlier request with the same idempotency key made. `index` distinguishes several prompts of
 * one request.
 */
export async function repeatOf(c: Context<App>, index = 0): Promise<Repeat> {
  const isRepeatable = c.get("origin") !== undefined;
  const ids = isRepeatable ? { sessionId: await idFor(c, "session"), runId: await idFor(c, "run", index) } : {};
  return {
    ...ids,
    onAccepted(isRepeated) {
      c.set("begun", true);
      if (isRepeated) c.set("repeated", true);
    },
  };
}

/** Id of this request, or of the request that it repeats. Some answers contain it, so repeats must show the first id. */
export function tellingRequestId(c: Context<App>): string {
  return c.get("origin")?.requestId ?? c.get("requestId");
}

/** Method, path, query and the hash of the body as one text. The body can still be read afterwards. */
async function fingerprintOf(c: Context<App>, target: string): Promise<string> {
  const bytes = await readBytes(c.req.raw);
  c.req.raw = new Request(c.req.raw.url, { method: "POST", headers: c.req.raw.headers, body: bytes });
  return `${target} ${toHex(await crypto.subtle.digest("SHA-256", bytes))}`;
}

function replay(c: Context<App>, reply: KeptReply): Response {
  c.set("repeated", true);
  const headers = new Headers(reply.headers);
  headers.set("idempotent-replayed", "true");
  return new Response(reply.status === 204 ? null : reply.body, { status: reply.status, headers });
}

function headOf(response: Response): Pick<KeptReply, "status" | "headers"> {
  const kept = [...response.headers].filter(([name]) => KEPT_HEADERS.includes(name));
  return { status: response.status, headers: Object.fromEntries(kept) };
}

function isStream(response: Response): boolean {
  return /^(text\/event-stream|text\/plain|application\/x-ndjson)/.test(response.headers.get("content-type") ?? "");
}

/** Passes a stream on and stores it when it is complete. A stream that was cut off is not stored. */
function keepStream(response: Response, keep: (reply: KeptReply) => Promise<void>, done: () => void): Response {
  const pieces: Uint8Array[] = [];
  let size = 0;
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, controller) {
      size += piece.byteLength;
      if (size <= MAX_KEPT_BYTES) pieces.push(piece.slice());
      controller.enqueue(piece);
    },
    async flush() {
      if (size <= MAX_KEPT_BYTES) await keep({ ...headOf(response), body: joined(pieces) });
    },
  });
  const passing = response.body?.pipeTo(writable) ?? Promise.resolve();
  waitUntil(
    passing.catch((error: unknown) => report({ event: "answer_not_kept", error: String(error) })).finally(done),
  );
  return new Response(readable, response);
}

/** Encrypts a stored answer that holds a secret. Only a request with the same API key can read it again. */
async function sealed(c: Context<App>, route: Route, key: string, reply: KeptReply): Promise<KeptReply> {
  if (!route.secret) return reply;
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const body = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await sealOf(c, key), reply.body);
  return { ...reply, body: joined([iv, new Uint8Array(body)]) };
}

async function unsealed(c: Context<App>, route: Route, key: string, reply: KeptReply): Promise<KeptReply> {
  if (!route.secret) return reply;
  const [iv, body] = [reply.body.slice(0, 12), reply.body.slice(12)];
  const plain = await crypto.subtle.decrypt({ name: "AES-GCM", iv }, await sealOf(c, key), body).catch(() => null);
  if (plain === null) throw new RequestRefused({ code: "idempotency_mismatch" });
  return { ...reply, body: new Uint8Array(plain) };
}

async function sealOf(c: Context<App>, key: string): Promise<CryptoKey> {
  const secret = await digest(`seal\0${keyOf(c.req.raw.headers) ?? ""}\0${key}`);
  return crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt", "decrypt"]);
}

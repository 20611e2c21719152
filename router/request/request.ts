/** Reads and checks an incoming request. A request refused here never reaches a provider. */
import { jsonExcess } from "@gantry/protocol/json-limits.ts";
import type { RouterFailure } from "../base/errors.ts";
import { MAX_MODEL_NAME } from "../routes/model-names.ts";

/** 10 MB. Anthropic itself accepts 32 MB; the engine's requests stay far below this limit. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** A value, or the failure to answer with instead. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: RouterFailure };

/** A parsed Messages request. Loosely typed on purpose: the router checks what it needs, upstreams read what they translate. */
export type MessagesBody = Record<string, unknown> & {
  model: string;
  messages: unknown[];
  max_tokens?: number;
  stream?: boolean;
  system?: unknown;
  tools?: unknown[];
};

/** Header that counts how many routers of this kind a request has passed. */
export const HOPS = "x-gantry-hops";
/** One router may forward to another. More hops than this mean a router that was given its own address. */
const MAX_HOPS = 3;

/** Request headers that are forwarded to a provider. Credentials, cookies and all other headers are not. */
const FORWARDED = /^(?:anthropic-.*|accept|user-agent|x-app|x-stainless-.*)$/;

/** The headers to send upstream, with the hop count raised by one. */
export function forwardedHeaders(from: Headers): Headers {
  const kept = new Headers();
  for (const [name, value] of from) if (FORWARDED.test(name)) kept.append(name, value);
  kept.set(HOPS, String(hopsOf(from) + 1));
  return kept;
}

/** Refuses a request that goes in circles: the shell's `ANTHROPIC_BASE_URL` may point at this very product. */
export function checkHops(headers: Headers): Checked<null> {
  if (hopsOf(headers) < MAX_HOPS) return { ok: true, value: null };
  return {
    ok: false,
    failure: {
      status: 508,
      message:
        "This request came back to the router that sent it: an api_base or ANTHROPIC_BASE_URL is the router's own address.",
      shouldRetry: false,
    },
  };
}

function hopsOf(headers: Headers): number {
  const hops = Number(headers.get(HOPS) ?? 0);
  return Number.isInteger(hops) && hops > 0 ? hops : 0;
}

/** The body's bytes, or a 413. Stops reading as soon as `limit` bytes are exceeded. */
export async function readBytes(request: Request, limit = MAX_BODY_BYTES): Promise<Checked<Uint8Array>> {
  const tooLarge = refuse(413, `The request body is larger than ${limit} bytes.`);
  const announced = Number(request.headers.get("content-length") ?? Number.NaN);
  if (announced > limit) return tooLarge;
  if (request.body === null) return { ok: true, value: new Uint8Array() };
  // HTTP guarantees the announced length, and a single read is cheaper than one per chunk.
  if (announced <= limit) return { ok: true, value: new Uint8Array(await request.arrayBuffer()) };
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = request.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.byteLength;
    if (length > limit) {
      await reader.cancel().catch(() => undefined);
      return tooLarge;
    }
    pieces.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return { ok: true, value: whole };
}

/** The JSON object in `raw`, or a 400 that says what is wrong with it. */
export async function parseObject(raw: Uint8Array): Promise<Checked<Record<string, unknown>>> {
  if (raw.length === 0) return badRequest("The request has no body: a JSON object is expected.");
  const text = await textOf(raw);
  if (text === undefined) return badRequest("The request body is not JSON: it is not UTF-8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return badRequest(`The request body is not JSON: ${(error as SyntaxError).message}`);
  }
  const excess = jsonExcess(value);
  if (excess !== null) return badRequest(`body: ${excess}`);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return badRequest("The request body must be a JSON object.");
  }
  return { ok: true, value: value as Record<string, unknown> };
}

/**
 * `raw` decoded as UTF-8; undefined when it is not UTF-8. workerd's `TextDecoder` copies the body into fresh memory each
 * time and a `Response` does not. But a `Response` replaces invalid bytes silently, so a replacement character is checked.
 */
async function textOf(raw: Uint8Array): Promise<string | undefined> {
  const text = await new Response(raw as Uint8Array<ArrayBuffer>).text();
  if (!text.includes("\uFFFD")) return text;
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(raw);
  } catch {
    return undefined;
  }
}

/** Checks the fields the router relies on; the provider checks the rest. Error messages begin with the field's name. */
export function checkMessages(
  value: Record<string, unknown>,
  kind: "messages" | "count_tokens",
): Checked<MessagesBody> {
  const { model, messages, max_tokens: maxTokens, stream } = value;
  if (typeof model !== "string" || model === "") return badRequest("model: a non-empty string is required");
  if (model.length > MAX_MODEL_NAME) return badRequest(`model: at most ${MAX_MODEL_NAME} characters are allowed`);
  if (!Array.isArray(messages)) return badRequest("messages: a list is required");
  if (messages.length === 0) return badRequest("messages: at least one message is required");
  if (kind === "messages") {
    if (maxTokens === undefined) return badRequest("max_tokens: Field required");
    if (typeof maxTokens !== "number" || !Number.isInteger(maxTokens) || maxTokens < 1) {
      return badRequest("max_tokens: a positive whole number is required");
    }
    if (stream !== undefined && stream !== null && typeof stream !== "boolean")
      return badRequest("stream: true or false is required");
  }
  return { ok: true, value: value as MessagesBody };
}

function badRequest(message: string): { ok: false; failure: RouterFailure } {
  return refuse(400, message);
}

function refuse(status: number, message: string): { ok: false; failure: RouterFailure } {
  return { ok: false, failure: { status, message } };
}

/** Translates a provider's error into a failure that Anthropic clients understand. */
import { errorTypeOf, isErrorType, statusOf, type RouterFailure } from "../../base/errors.ts";
import { isRecord, nonEmpty, parseJson, type Json } from "../../base/json.ts";

/** Longest message, in characters, that is passed on from a provider. */
const MESSAGE_LIMIT = 2000;

/** The provider that failed. */
export interface FailureSource {
  /** Provider name for messages: `groq`. */
  readonly provider: string;
  /** Removed from messages, because providers like to quote the key they refuse. */
  readonly apiKey: string | undefined;
}

/** The failure for an error status, or for an error object in a 200. `text` is the response body. */
export function toFailure(status: number, text: string, source: FailureSource, headers?: Headers): RouterFailure {
  const parsed = parseJson(text);
  const body = Array.isArray(parsed) ? parsed[0] : parsed;
  const error = isRecord(body) ? errorObject(body) : undefined;
  const real = error === undefined ? status : realStatus(status, error);
  const retryAfter = headers?.get("retry-after") ?? undefined;
  const message = describe(real, error, text, source);
  const code = error === undefined ? undefined : (nonEmpty(error["code"]) ?? nonEmpty(error["type"]));
  if (isTooLong(real, code, message)) {
    return { status: 400, type: "invalid_request_error", message: tooLong(message), retryAfter };
  }
  // Groq: the model wrote a call that does not parse. The request is fine, and asking again often helps.
  if (code === "tool_use_failed") return { status: 502, type: "api_error", message, retryAfter };
  // The account is empty: waiting does not help.
  if (code === "insufficient_quota") return { status: real, message, retryAfter, shouldRetry: false };
  return { status: real, message, retryAfter };
}

/** The failure for a 200 whose body is neither an answer nor an error. */
export function notAnAnswer(what: string, source: FailureSource): RouterFailure {
  return { status: 502, message: `${source.provider} answered with ${what}.` };
}

/** Describes a body that is not an answer. */
export function kindOf(body: string, otherwise: string): string {
  const start = body.slice(0, 200).trimStart();
  if (start === "") return "an empty body";
  return start.startsWith("<") ? "an HTML page" : otherwise;
}

/** The error in a body or a chunk, in any of the shapes that providers use; undefined when there is none. */
export function errorObject(body: Json): Json | undefined {
  const error = body["error"];
  if (isRecord(error)) return error;
  if (typeof error === "string" && error !== "") return { message: error, code: body["code"] };
  if (body["object"] === "error" || body["type"] === "error") return body;
  if (body["choices"] !== undefined) return undefined;
  const message = nonEmpty(body["message"]) ?? nonEmpty(body["detail"]) ?? detailList(body["detail"]);
  return message === undefined ? undefined : { ...body, message };
}

/** FastAPI's validation errors. */
function detailList(detail: unknown): string | undefined {
  return Array.isArray(detail) ? JSON.stringify(detail) : undefined;
}

/** The status of an error: the HTTP status if it is one of an error, otherwise what the body says. */
function realStatus(status: number, error: Json): number {
  if (status >= 400) return status === 498 ? 529 : status; // 498: Groq's "flex capacity exceeded"
  for (const value of [error["status"], error["status_code"], error["code"]]) {
    const number = typeof value === "string" && /^\d{3}$/.test(value) ? Number(value) : value;
    if (typeof number === "number" && number >= 400 && number < 600) return number;
  }
  for (const value of [error["type"], error["code"]]) {
    if (isErrorType(value)) return statusOf(value);
    const known = typeof value === "string" ? STATUS_BY_CODE[value] : undefined;
    if (known !== undefined) return known;
  }
  return 502;
}

const STATUS_BY_CODE: Readonly<Record<string, number>> = {
  context_length_exceeded: 400,
  insufficient_quota: 429,
  invalid_api_key: 401,
  model_not_found: 404,
  rate_limit_exceeded: 429,
  requests: 429,
  server_error: 500,
  internal_server_error: 500,
  tokens: 429,
  tool_use_failed: 502,
};

function describe(status: number, error: Json | undefined, text: string, source: FailureSource): string {
  const said = error === undefined ? plainText(text) : errorMessage(error);
  const message = said === "" ? `${source.provider} answered ${status}.` : `${source.provider}: ${said}`;
  const clean = source.apiKey === undefined ? message : message.replaceAll(source.apiKey, "[key]");
  return clean.length > MESSAGE_LIMIT ? `${clean.slice(0, MESSAGE_LIMIT)}…` : clean;
}

function errorMessage(error: Json): string {
  const message = nonEmpty(error["message"]) ?? nonEmpty(error["code"]) ?? nonEmpty(error["type"]) ?? "";
  // OpenRouter wraps the message of the provider behind it.
  const metadata = error["metadata"];
  const raw = isRecord(metadata) ? nonEmpty(metadata["raw"]) : undefined;
  return raw === undefined ? message : `${message} (${raw})`;
}

/** A body that is not JSON, if a person can read it; otherwise empty. */
function plainText(text: string): string {
  const start = text.slice(0, 200).trimStart();
  if (start.startsWith("<")) return "an HTML page instead of an answer";
  return start.startsWith("{") || start.startsWith("[") ? "" : text.slice(0, 300).trim();
}

const TOO_LONG =
  /maximum context length|context[_ ]length|context window|reduce the length of the messages|prompt is too long|input is too long|too many tokens/i;

function isTooLong(status: number, code: string | undefined, message: string): boolean {
  if (code === "context_length_exceeded") return true;
  return (
    (status === 400 || status === 422) && errorTypeOf(status) === "invalid_request_error" && TOO_LONG.test(message)
  );
}

/** Claude Code compacts and continues when it reads Anthropic's own words: "prompt is too long: N tokens > M maximum". */
function tooLong(message: string): string {
  const limit = /maximum context length (?:is|of) (\d+)/i.exec(message)?.[1];
  const asked = /(?:resulted in|requested(?: about)?|has|contains(?: at least)?) (\d+) (?:input )?tokens/i.exec(
    message,
  )?.[1];
  const numbers = limit !== undefined && asked !== undefined ? `: ${asked} tokens > ${limit} maximum` : "";
  return `prompt is too long${numbers} (${message})`;
}

/**
 * Anthropic's API and every provider that speaks it. Requests and answers are passed through.
 *
 * The body is sent byte for byte, with three exceptions: the value of `model` when the route renames it, fields that the
 * configuration changes, and thinking that a translated provider wrote earlier in the conversation. That thinking has a
 * signature of ours, for which Anthropic would refuse the whole request. The answer is returned unchanged. The router
 * reads a stream's usage with its own watch, so that bytes are looked at once; `onUsage` is called here only for answers
 * without a stream.
 */
import { errorResponse, errorTypeOf, isErrorType, statusOf } from "../base/errors.ts";
import { isRecord, parseJson, type Json } from "../base/json.ts";
import { usageOf } from "../base/usage.ts";
import { type Checked, HOPS } from "../request/request.ts";
import { ANTHROPIC_BASE } from "../routes/providers.ts";
import { countTokensResponse } from "../translate/request/count.ts";
import { UNSIGNED } from "../translate/round-trip/reasoning.ts";
import type { Upstream, UpstreamCall } from "./upstream.ts";

const DEFAULT_VERSION = "2023-06-01";
const OAUTH_BETA = "oauth-2025-04-20";

/** Statuses that mean an upstream does not count tokens. The count is then estimated. */
const CANNOT_COUNT = new Set([404, 405, 501]);

/** Response headers that are passed on. The others concern only one hop or the provider's account. */
const KEPT_HEADERS =
  /^(?:content-type|request-id|retry-after|x-should-retry|anthropic-ratelimit-.*|anthropic-priority-.*)$/;

/** The upstream for `api_format: anthropic`. */
export const anthropicUpstream: Upstream = async (call, deps) => {
  const path = call.kind === "count_tokens" ? "/v1/messages/count_tokens" : "/v1/messages";
  // Called without `this`: workerd's own fetch refuses any other.
  const { fetch } = deps;
  const body = await requestBody(call);
  if (!body.ok) return errorResponse(body.failure, call.requestId);
  const answer = await fetch(`${call.deployment.apiBase}${path}${call.search}`, {
    method: "POST",
    headers: requestHeaders(call),
    body: body.value as Uint8Array<ArrayBuffer>,
    signal: call.signal,
    // A redirect would carry the key to wherever it points.
    redirect: "manual",
  });
  const headers = keptHeaders(answer.headers);
  if (call.kind === "count_tokens" && CANNOT_COUNT.has(answer.status)) {
    await answer.body?.cancel();
    const asked = await call.request.body();
    return asked.ok ? countTokensResponse(asked.value, call.requestId) : errorResponse(asked.failure, call.requestId);
  }
  if (!answer.ok) return failure(call, answer, headers);
  if (call.kind === "messages" && call.request.streams) {
    const type = answer.headers.get("content-type") ?? "";
    if (type.startsWith("text/event-stream") && answer.body !== null) {
      return new Response(answer.body, { status: answer.status, headers });
    }
    return failure(call, answer, headers);
  }
  const bytes = await answer.arrayBuffer();
  const parsed = parseRecord(new TextDecoder().decode(bytes));
  if (parsed === undefined || parsed["type"] === "error") return notAMessage(call, answer, parsed);
  const usage = usageOf(parsed["usage"]);
  if (usage !== undefined) call.onUsage(usage);
  return new Response(bytes, { status: answer.status, headers });
};

function requestHeaders({ inbound, deployment }: UpstreamCall): Headers {
  const headers = new Headers(inbound);
  headers.set("content-type", "application/json");
  if (deployment.apiBase === ANTHROPIC_BASE) headers.delete(HOPS);
  // A compressed stream arrives in lumps.
  headers.set("accept-encoding", "identity");
  if (!headers.has("anthropic-version")) headers.set("anthropic-version", DEFAULT_VERSION);
  const key = deployment.apiKey;
  if (key !== undefined) {
    switch (deployment.auth) {
      case "x-api-key":
        headers.set("x-api-key", key);
        break;
      case "oauth": {
        headers.set("authorization", `Bearer ${key}`);
        const betas = headers.get("anthropic-beta");
        if (betas === null) headers.set("anthropic-beta", OAUTH_BETA);
        else if (!betas.includes(OAUTH_BETA)) headers.set("anthropic-beta", `${betas},${OAUTH_BETA}`);
        break;
      }
      case "bearer":
        headers.set("authorization", `Bearer ${key}`);
        break;
      case "none":
        break;
    }
  }
  for (const [name, value] of Object.entries(deployment.params.extraHeaders)) headers.set(name, value);
  return headers;
}

async function requestBody({ request, kind, deployment }: UpstreamCall): Promise<Checked<Uint8Array>> {
  const { extraBody, defaults, dropParams, maxOutputTokens } = deployment.params;
  const tooMany = kind === "messages" && maxOutputTokens !== undefined && (request.maxTokens ?? 0) > maxOutputTokens;
  const presets = kind === "messages" ? Object.entries(defaults).filter(([name]) => !request.has(name)) : [];
  const extras = kind === "messages" ? extraBody : {};
  const drops = dropParams.filter((name) => request.has(name));
  const isChanged = tooMany || presets.length > 0 || drops.length > 0 || Object.keys(extras).length > 0;
  const asItIs = isChanged ? undefined : request.withModel(deployment.model);
  if (asItIs !== undefined && !request.mentions(UNSIGNED)) return { ok: true, value: asItIs };
  const body = await request.body();
  if (!body.ok) return body;
  const messages = withoutForeignThinking(body.value.messages);
  if (asItIs !== undefined && messages === body.value.messages) return { ok: true, value: asItIs };
  const changed: Record<string, unknown> = {
    ...body.value,
    messages,
    ...Object.fromEntries(presets),
    ...extras,
    model: deployment.model,
  };
  if (tooMany) changed["max_tokens"] = maxOutputTokens;
  for (const name of drops) delete changed[name];
  return { ok: true, value: new TextEncoder().encode(JSON.stringify(changed)) };
}

/** The conversation without thinking blocks that carry our signature; the same list object when there are none. */
function withoutForeignThinking(messages: readonly unknown[]): readonly unknown[] {
  const isForeign = (block: unknown): boolean => {
    if (!isRecord(block)) return false;
    const mark =
      block["type"] === "thinking" ? block["signature"] : block["type"] === "redacted_thinking" ? block["data"] : null;
    return typeof mark === "string" && mark.startsWith(UNSIGNED);
  };
  const contentOf = (message: unknown): readonly unknown[] =>
    isRecord(message) && message["role"] === "assistant" && Array.isArray(message["content"]) ? message["content"] : [];
  if (!messages.some((message) => contentOf(message).some(isForeign))) return messages;
  return messages.flatMap((message) => {
    const content = contentOf(message);
    if (!content.some(isForeign)) return [message];
    const rest = content.filter((block) => !isForeign(block));
    // A turn with only thinking would become empty, and an empty turn is refused.
    return rest.length === 0 ? [] : [{ ...(message as object), content: rest }];
  });
}

function keptHeaders(from: Headers): Headers {
  const kept = new Headers();
  for (const [name, value] of from) if (KEPT_HEADERS.test(name)) kept.append(name, value);
  return kept;
}

/** The response for a failed call: an error in Anthropic's shape is passed on unchanged, anything else becomes one. */
async function failure(call: UpstreamCall, answer: Response, headers: Headers): Promise<Response> {
  const text = await answer.text();
  const parsed = parseRecord(text);
  if (!answer.ok && isAnthropicError(parsed)) return new Response(text, { status: answer.status, headers });
  return notAMessage(call, answer, parsed);
}

function notAMessage(call: UpstreamCall, answer: Response, parsed: Json | undefined): Response {
  const error = isRecord(parsed?.["error"]) ? parsed["error"] : undefined;
  const type = isErrorType(error?.["type"]) ? error["type"] : undefined;
  // A 200 that is not a message, and a redirect, are the upstream's fault and not the request's.
  const status = answer.status >= 400 ? answer.status : type === undefined ? 502 : statusOf(type);
  const said = typeof error?.["message"] === "string" ? error["message"] : undefined;
  const kind = answer.headers.get("content-type") ?? "no content type";
  return errorResponse(
    {
      status,
      type: type ?? errorTypeOf(status),
      message:
        said ??
        `The upstream of "${call.deployment.route}" answered ${answer.status} with something that is not a message (${kind}).`,
      retryAfter: answer.headers.get("retry-after") ?? undefined,
    },
    call.requestId,
  );
}

function isAnthropicError(value: Json | undefined): boolean {
  const error = value?.["type"] === "error" ? value["error"] : undefined;
  return isRecord(error) && typeof error["type"] === "string" && typeof error["message"] === "string";
}

function parseRecord(text: string): Json | undefined {
  const value = parseJson(text);
  return isRecord(value) ? value : undefined;
}

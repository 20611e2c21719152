/**
 * Providers that speak OpenAI's chat completions: translates the request, asks once, and translates the answer back.
 *
 * The client's reads pull the stream: each one reads the provider's socket once, so a slow client slows the provider down
 * and nothing accumulates in between.
 */
import type { Effects } from "../base/effects.ts";
import { errorResponse, type RouterFailure } from "../base/errors.ts";
import { parseJson } from "../base/json.ts";
import { kindOf, notAnAnswer, toFailure, type FailureSource } from "../translate/answer/failure.ts";
import { StreamPump } from "../translate/answer/pump.ts";
import { toMessage, type AnswerContext } from "../translate/answer/response.ts";
import { MessageStream } from "../translate/answer/stream.ts";
import { toUsage } from "../translate/answer/usage.ts";
import { toChatCall, type ChatCall } from "../translate/request/chat-call.ts";
import { countTokensResponse, estimateTokens } from "../translate/request/count.ts";
import { dialectOf } from "../translate/request/dialects.ts";
import { relax } from "../translate/request/relax.ts";
import { CallIds } from "../translate/round-trip/call-ids.ts";
import type { Upstream, UpstreamCall } from "./upstream.ts";

/** How long to wait for a stream's first words before sending the headers. */
const PEEK_MS = 3000;
/** Most bytes read of an error's body. */
const ERROR_BODY_LIMIT = 64 * 1024;

/** The upstream for `api_format: openai`. */
export const openaiUpstream: Upstream = async (call, deps) => {
  const asked = await call.request.body();
  if (!asked.ok) return refuse(asked.failure, call);
  const body = asked.value;
  if (call.kind === "count_tokens") return countTokensResponse(body, call.requestId);
  const { deployment } = call;
  const source: FailureSource = { provider: deployment.provider, apiKey: deployment.apiKey };
  const dialect = dialectOf(deployment);
  let chat = toChatCall(body, deployment, dialect);
  let response = await ask(call, deps, chat);
  if (response.status >= 400) {
    let text = await readSome(response, ERROR_BODY_LIMIT);
    const simpler = relax(response.status, text, chat.request, dialect);
    if (simpler === undefined) return refuse(toFailure(response.status, text, source, response.headers), call);
    chat = toChatCall(body, deployment, simpler);
    response = await ask(call, deps, chat);
    if (response.status >= 400) {
      text = await readSome(response, ERROR_BODY_LIMIT);
      return refuse(toFailure(response.status, text, source, response.headers), call);
    }
  }
  if (response.status !== 200 && response.status !== 201) {
    await response.body?.cancel();
    return refuse(notAnAnswer(`status ${response.status}`, source), call);
  }
  const context: AnswerContext = {
    messageId: deps.newId("msg"),
    model: body.model,
    requestId: call.requestId,
    names: chat.names,
    callIds: new CallIds(chat.callIds, (prefix) => deps.newId(prefix)),
    stopSequences: chat.stopSequences,
    source,
    estimateInput: () => estimateTokens(body),
  };
  return call.request.streams ? answerStream(call, deps, response, context) : answerWhole(call, response, context);
};

async function ask(call: UpstreamCall, deps: Effects, chat: ChatCall): Promise<Response> {
  const { apiBase, apiKey, auth, params } = call.deployment;
  const headers = new Headers({
    "content-type": "application/json",
    accept: chat.request.stream === true ? "text/event-stream" : "application/json",
  });
  if (apiKey !== undefined && auth !== "none") {
    if (auth === "x-api-key") headers.set("x-api-key", apiKey);
    else headers.set("authorization", `Bearer ${apiKey}`);
  }
  for (const [name, value] of Object.entries(params.extraHeaders)) headers.set(name, value);
  // Called without `this`: workerd's own fetch refuses any other.
  const { fetch } = deps;
  return fetch(`${apiBase}/chat/completions`, {
    method: "POST",
    headers,
    body: JSON.stringify(chat.request),
    signal: call.signal,
    redirect: "manual",
  });
}

function refuse(failure: RouterFailure, call: UpstreamCall): Response {
  return errorResponse(failure, call.requestId);
}

function answerHeaders(call: UpstreamCall, type: string): Headers {
  return new Headers({ "content-type": type, "cache-control": "no-cache", "request-id": call.requestId });
}

async function answerWhole(call: UpstreamCall, response: Response, context: AnswerContext): Promise<Response> {
  const text = await response.text();
  const body = parseJson(text);
  if (body === undefined) {
    return refuse(notAnAnswer(kindOf(text, "a broken JSON body"), context.source), call);
  }
  const answer = toMessage(body, context);
  if (!answer.ok) return refuse(answer.failure, call);
  if (answer.usage !== undefined) call.onUsage(toUsage(answer.usage));
  return new Response(JSON.stringify(answer.message), { headers: answerHeaders(call, "application/json") });
}

/**
 * Waits a moment for the model's first words before answering, so that an error in the first event can still become an
 * HTTP status.
 */
async function answerStream(
  call: UpstreamCall,
  deps: Effects,
  response: Response,
  context: AnswerContext,
): Promise<Response> {
  if (response.body === null) return refuse(notAnAnswer("an empty body", context.source), call);
  const pump = new StreamPump(response.body, new MessageStream(context), {
    signal: call.signal,
    sleep: (ms, signal) => deps.sleep(ms, signal),
    onUsage: (usage) => call.onUsage(usage),
  });
  let opening: Promise<string> | null = readWords(pump);
  const looked = new AbortController();
  const waited = deps.sleep(PEEK_MS, looked.signal).catch(() => {});
  await Promise.race([opening, waited]).finally(() => looked.abort());
  if (pump.failure !== undefined && !pump.started) {
    await pump.close();
    return refuse(pump.failure, call);
  }
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const text = await (opening ?? readWords(pump));
        opening = null;
        if (text === "") controller.close();
        else controller.enqueue(encoder.encode(text));
      } catch (error) {
        controller.error(error);
      }
    },
    cancel: (reason) => pump.close(reason),
  });
  return new Response(body, { headers: answerHeaders(call, "text/event-stream; charset=utf-8") });
}

/** The next text of the stream; empty at the end. */
async function readWords(pump: StreamPump): Promise<string> {
  let text = "";
  while (text === "" && !pump.done) text = await pump.read();
  return text;
}

/** About the first `limit` characters of a body. */
async function readSome(response: Response, limit: number): Promise<string> {
  if (response.body === null) return "";
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (text.length < limit) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
    }
  } catch {
    return text; // half an error message is still a message
  }
  await reader.cancel().catch(() => {});
  return text;
}

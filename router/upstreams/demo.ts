/**
 * The demonstration model: an upstream without a provider.
 *
 * It speaks the Messages API and dictates text and tool calls, so that the real engine writes files and runs commands
 * before a user has a key. It never calls the network. `docs/demo-model.md` says what it does with a prompt.
 */
import { errorResponse } from "../base/errors.ts";
import type { Attempts } from "../demo/attempts.ts";
import { createAttempts } from "../demo/attempts.ts";
import { summaryStep, titleStep } from "../demo/chores.ts";
import type { Conversation } from "../demo/conversation.ts";
import { toConversation } from "../demo/conversation.ts";
import { estimateInputTokens, toMessage, toUsage } from "../demo/message.ts";
import { ruleStep } from "../demo/rules.ts";
import type { ScriptedStep } from "../demo/script.ts";
import { scriptedStep } from "../demo/script.ts";
import { toSse } from "../demo/sse.ts";
import type { Upstream } from "./upstream.ts";

/** Makes a demonstration model. It remembers only `attempts` between calls. */
export function createDemoUpstream(attempts: Attempts = createAttempts()): Upstream {
  return async (call, deps) => {
    const { request, requestId, signal } = call;
    const headers = { "request-id": requestId };
    signal.throwIfAborted();
    if (call.kind === "count_tokens")
      return Response.json({ input_tokens: estimateInputTokens(request.raw.byteLength) }, { headers });

    const body = await request.body();
    if (!body.ok) return errorResponse(body.failure, requestId);
    const conversation = toConversation(body.value);
    const chosen = chooseStep(conversation);
    if ("error" in chosen) return errorResponse({ status: 400, message: chosen.error }, requestId);
    const { step } = chosen;

    if (step.fail !== undefined) {
      const { status, times = Infinity, retryAfter } = step.fail;
      if (attempts.next(conversation.parts.join("\n"), conversation.replies) <= times) {
        const message = `Scripted failure: ${status}.`;
        return errorResponse(
          { status, message, retryAfter: retryAfter === undefined ? undefined : String(retryAfter) },
          requestId,
        );
      }
    }
    if (step.ttftMs) await deps.sleep(step.ttftMs, signal);

    const message = toMessage(step, { model: request.model, requestBytes: request.raw.byteLength }, (prefix) =>
      deps.newId(prefix),
    );
    if (!request.streams) {
      call.onUsage(toUsage(message.usage));
      return Response.json(message, { headers });
    }
    const stream = toSse(message, step, {
      sleep: (ms, stop) => deps.sleep(ms, stop),
      signal,
      requestId,
      onEnd: (usage) => call.onUsage(toUsage(usage)),
    });
    return new Response(stream, {
      headers: { ...headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
    });
  };
}

/** The demonstration model that the router uses. */
export const demoUpstream: Upstream = createDemoUpstream();

function chooseStep(conversation: Conversation): ScriptedStep {
  switch (conversation.purpose) {
    case "title":
      return { step: titleStep(conversation) };
    case "summary":
      return { step: summaryStep(conversation) };
    case "prompt":
      return scriptedStep(conversation.parts.join("\n"), conversation.replies) ?? { step: ruleStep(conversation) };
  }
}

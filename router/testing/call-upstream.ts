/** Calls an upstream as the router does, against the test's own server. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Effects } from "../base/effects.ts";
import type { Usage } from "../base/usage.ts";
import type { MessagesBody } from "../request/request.ts";
import type { Deployment } from "../routes/deployment.ts";
import type { Upstream } from "../upstreams/upstream.ts";
import { readMessage, type ReadMessage } from "./read-message.ts";
import { requestOf } from "./request-of.ts";

export const nodeDeps: Effects = {
  fetch,
  now: Date.now,
  random: Math.random,
  sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal, ref: false }),
  newId: (prefix) => `${prefix}_${randomUUID().replaceAll("-", "").slice(0, 24)}`,
};

export function deploymentOf(fields: Partial<Deployment> = {}): Deployment {
  return {
    id: "test",
    route: "test-model",
    provider: "openai_like",
    model: "test-model",
    apiBase: "http://127.0.0.1:9/v1",
    apiKey: "sk-upstream-secret",
    auth: "bearer",
    apiFormat: "openai",
    params: { extraHeaders: {}, extraBody: {}, defaults: {}, dropParams: [] },
    ...fields,
  };
}

export function bodyOf(fields: Partial<MessagesBody> = {}): MessagesBody {
  return { model: "claude-test", max_tokens: 1000, messages: [{ role: "user", content: "Hello" }], ...fields };
}

/** The outcome of a call. */
export interface Outcome {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The JSON answer or error body, when there was no stream. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into answers freely
  readonly json: any;
  /** The stream, read strictly, or the content of an answer without a stream in the same form. */
  readonly message: ReadMessage;
  readonly usage: readonly Usage[];
}

export async function callUpstream(
  upstream: Upstream,
  body: MessagesBody,
  deployment: Deployment,
  options: { kind?: "messages" | "count_tokens"; signal?: AbortSignal; deps?: Effects } = {},
): Promise<Outcome> {
  const usage: Usage[] = [];
  const response = await upstream(
    {
      request: await requestOf(body, options.kind),
      kind: options.kind ?? "messages",
      inbound: new Headers({ "anthropic-version": "2023-06-01", "anthropic-beta": "some-beta" }),
      search: "",
      requestId: "req_test",
      deployment,
      signal: options.signal ?? new AbortController().signal,
      onUsage: (used) => usage.push(used),
    },
    options.deps ?? nodeDeps,
  );
  const text = await response.text();
  const type = response.headers.get("content-type") ?? "";
  const isStream = type.startsWith("text/event-stream");
  const json: unknown = isStream ? null : JSON.parse(text);
  return {
    status: response.status,
    headers: response.headers,
    text,
    json,
    message: isStream ? readMessage(text) : asMessage(json as Record<string, unknown>),
    usage,
  };
}

function asMessage(json: Record<string, unknown>): ReadMessage {
  return {
    events: [],
    content: (json["content"] ?? []) as ReadMessage["content"],
    stop_reason: (json["stop_reason"] ?? null) as string | null,
    stop_sequence: (json["stop_sequence"] ?? null) as string | null,
    usage: json["usage"] ?? {},
    error: (json["error"] ?? null) as ReadMessage["error"],
  };
}

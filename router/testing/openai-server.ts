/**
 * An OpenAI-compatible server for tests. The test queues its answers or scripts them in the prompt (`openai-script.ts`).
 * It speaks real HTTP, so that cut sockets, odd chunks and early ends are real too.
 *
 * Run: node router/testing/openai-server.ts [--port 8199]
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { callsOf, chooseStep, type Step } from "./openai-script.ts";

/** An answer that a test dictates. */
export interface Reply {
  status?: number;
  headers?: Record<string, string>;
  /** A JSON answer... */
  json?: unknown;
  /** ...or a raw body... */
  text?: string;
  /** ...or events: objects become `data: {...}`, strings are sent unchanged. */
  chunks?: readonly unknown[];
  /** Whether `data: [DONE]` ends the events. Default: yes, unless the socket is cut. */
  done?: boolean;
  /** The socket is destroyed after the last chunk, so that the HTTP body has no end. */
  cut?: boolean;
  /** Nothing more is sent, and the socket stays open. */
  hang?: boolean;
  /** Each write holds at most this many bytes. */
  writeSize?: number;
  /** Wait before the first byte, and between chunks. */
  ttftMs?: number;
  chunkMs?: number;
  /** The socket is destroyed without an answer. */
  reset?: boolean;
}

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  /** Parsed JSON body, or undefined. */
  readonly body: Record<string, unknown>;
  /** True when the client left before the answer was finished. */
  aborted: boolean;
}

export interface OpenAiServer {
  /** `http://127.0.0.1:PORT/v1` */
  readonly url: string;
  readonly port: number;
  readonly requests: RecordedRequest[];
  /** Queues answers for the next requests, in order. After them scripts apply again. */
  enqueue(...replies: Reply[]): void;
  reset(): void;
  /** Resolves when `condition` holds for the recorded requests. It is checked after each change of them. */
  until(condition: (requests: readonly RecordedRequest[]) => boolean): Promise<void>;
  close(): Promise<void>;
}

export async function startOpenAiServer(options: { port?: number } = {}): Promise<OpenAiServer> {
  const requests: RecordedRequest[] = [];
  const queue: Reply[] = [];
  /** Tries so far, by prompt and step. */
  const tries = new Map<string, number>();
  const watchers = new Set<() => void>();
  const changed = (): void => {
    for (const watcher of watchers) watcher();
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readJson(request);
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const record: RecordedRequest = {
      method: request.method ?? "",
      path,
      headers: request.headers,
      body,
      aborted: false,
    };
    requests.push(record);
    response.on("close", () => {
      record.aborted = !response.writableFinished;
      changed();
    });
    changed();
    if (path === "/v1/models")
      return send(response, { json: { object: "list", data: [{ id: "scripted", object: "model" }] } });
    if (path !== "/v1/chat/completions") {
      return send(response, {
        status: 404,
        json: { error: { message: `no ${path} here`, type: "invalid_request_error" } },
      });
    }
    const queued = queue.shift();
    return send(response, queued ?? scripted(body, tries));
  }

  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    port,
    requests,
    enqueue: (...replies) => void queue.push(...replies),
    reset: () => {
      requests.length = 0;
      queue.length = 0;
      tries.clear();
    },
    until: (condition) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!condition(requests)) return;
          watchers.delete(look);
          resolve();
        };
        watchers.add(look);
        look();
      }),
    close: () => closeServer(server),
  };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  try {
    return JSON.parse(Buffer.concat(pieces).toString()) as Record<string, unknown>;
  } catch {
    return {};
  }
}

async function send(response: ServerResponse, reply: Reply): Promise<void> {
  if (reply.ttftMs !== undefined) await sleep(reply.ttftMs);
  if (reply.reset === true) return void response.socket?.destroy();
  if (reply.hang === true && reply.chunks === undefined) return;
  const status = reply.status ?? 200;
  if (reply.chunks === undefined) {
    const body = reply.text ?? JSON.stringify(reply.json);
    const type = reply.text === undefined ? "application/json" : "text/html";
    return void response.writeHead(status, { "content-type": type, ...reply.headers }).end(body);
  }
  response.writeHead(status, { "content-type": "text/event-stream", ...reply.headers });
  response.flushHeaders();
  for (const chunk of reply.chunks) {
    if (response.destroyed) return;
    await write(response, typeof chunk === "string" ? chunk : `data: ${JSON.stringify(chunk)}\n\n`, reply.writeSize);
    if (reply.chunkMs !== undefined) await sleep(reply.chunkMs);
  }
  if (reply.hang === true) return;
  if (reply.cut === true) {
    await drained(response);
    return void response.socket?.destroy();
  }
  if (reply.done !== false) await write(response, "data: [DONE]\n\n", reply.writeSize);
  response.end();
}

async function write(response: ServerResponse, text: string, size: number | undefined): Promise<void> {
  const bytes = Buffer.from(text);
  const step = size ?? bytes.length;
  for (let at = 0; at < bytes.length; at += step) {
    response.write(bytes.subarray(at, at + step));
    if (size !== undefined) await new Promise(setImmediate);
  }
}

/** Resolves when the bytes written so far have been sent. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => response.write("", () => setTimeout(resolve, 20)));
}

function scripted(body: Record<string, unknown>, tries: Map<string, number>): Reply {
  const messages = Array.isArray(body["messages"]) ? body["messages"] : [];
  const { prompt, number, step } = chooseStep(messages as { role?: string; content?: unknown }[]);
  if (step.fail !== undefined) {
    const key = `${number}#${prompt}`;
    const count = (tries.get(key) ?? 0) + 1;
    tries.set(key, count);
    if (count <= (step.fail.times ?? Number.POSITIVE_INFINITY)) return failure(step.fail);
  }
  const timing: Reply = step.ttftMs === undefined ? {} : { ttftMs: step.ttftMs };
  if (body["stream"] !== true) return { ...timing, json: completion(step, body) };
  const options = body["stream_options"] as { include_usage?: boolean } | undefined;
  const chunks = streamChunks(step, body, options?.include_usage === true);
  return {
    ...timing,
    ...(step.chunkMs === undefined ? {} : { chunkMs: step.chunkMs }),
    chunks: step.cutAfter === undefined ? chunks : chunks.slice(0, step.cutAfter + 1),
    cut: step.cutAfter !== undefined,
    done: step.streamError === undefined,
  };
}

function failure(fail: NonNullable<Step["fail"]>): Reply {
  if (fail.reset === true || fail.status === undefined) return { reset: true };
  return {
    status: fail.status,
    ...(fail.retryAfter === undefined ? {} : { headers: { "retry-after": String(fail.retryAfter) } }),
    json: { error: { message: fail.message ?? `scripted ${fail.status}`, type: "scripted", code: null } },
  };
}

let lastCall = 0;

function toolCalls(step: Step): { id: string; type: "function"; function: { name: string; arguments: string } }[] {
  return callsOf(step).map(({ name, input, id }) => ({
    id: id ?? `call_${(++lastCall).toString(36).padStart(8, "0")}`,
    type: "function",
    function: { name, arguments: typeof input === "string" ? input : JSON.stringify(input) },
  }));
}

function usageOf(step: Step, body: Record<string, unknown>): Record<string, unknown> {
  const prompt = Math.ceil(JSON.stringify(body).length / 4);
  const output = Math.ceil(JSON.stringify(step).length / 4);
  return { prompt_tokens: prompt, completion_tokens: output, total_tokens: prompt + output, ...step.usage };
}

function completion(step: Step, body: Record<string, unknown>): unknown {
  const calls = toolCalls(step);
  return {
    id: "chatcmpl-scripted",
    object: "chat.completion",
    created: 1,
    model: body["model"],
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: step.text ?? null,
          ...(step.reasoning === undefined ? {} : { reasoning: step.reasoning }),
          ...(calls.length > 0 ? { tool_calls: calls } : {}),
        },
        finish_reason: step.finish ?? (calls.length > 0 ? "tool_calls" : "stop"),
      },
    ],
    usage: usageOf(step, body),
  };
}

function streamChunks(step: Step, body: Record<string, unknown>, withUsage: boolean): unknown[] {
  const chunk = (choices: unknown[], more: object = {}): unknown => ({
    id: "chatcmpl-scripted",
    object: "chat.completion.chunk",
    created: 1,
    model: body["model"],
    choices,
    ...more,
  });
  const delta = (fields: object): unknown => chunk([{ index: 0, delta: fields, finish_reason: null }]);
  const out = [delta({ role: "assistant", content: "" })];
  for (const piece of pieces(step.reasoning ?? "", step.chunk)) out.push(delta({ reasoning: piece }));
  for (const piece of pieces(step.text ?? "", step.chunk)) out.push(delta({ content: piece }));
  const calls = toolCalls(step);
  for (const [index, { id, function: fn }] of calls.entries()) {
    out.push(delta({ tool_calls: [{ index, id, type: "function", function: { name: fn.name, arguments: "" } }] }));
    for (const piece of pieces(fn.arguments, step.chunk)) {
      out.push(delta({ tool_calls: [{ index, function: { arguments: piece } }] }));
    }
  }
  if (step.streamError !== undefined) {
    out.push({ error: { message: step.streamError, type: "server_error", code: 500 } });
    return out;
  }
  out.push(chunk([{ index: 0, delta: {}, finish_reason: step.finish ?? (calls.length > 0 ? "tool_calls" : "stop") }]));
  if (withUsage) out.push(chunk([], { usage: usageOf(step, body) }));
  return out;
}

function pieces(text: string, size = 24): string[] {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.slice(i * size, (i + 1) * size));
}

if (import.meta.main) {
  const at = process.argv.indexOf("--port");
  const server = await startOpenAiServer({ port: at < 0 ? 8199 : Number(process.argv[at + 1]) });
  process.stdout.write(`${server.url}\n`);
}

/**
 * A row of the conformance table, and how to run it: through the real upstream, over real HTTP, against a server whose
 * answer the row dictates.
 */
import type { MessagesBody } from "../request/request.ts";
import type { DeploymentParams } from "../routes/deployment.ts";
import { bodyOf, callUpstream, deploymentOf, type Outcome } from "../testing/call-upstream.ts";
import type { OpenAiServer, RecordedRequest, Reply } from "../testing/openai-server.ts";
import { openaiUpstream } from "../upstreams/openai.ts";

/** One row: a request, the provider's answer, and what must come of it. */
export interface Row {
  /** Number of the case, shared by its rows. "+" marks cases beyond the forty. */
  readonly id: string;
  readonly title: string;
  /** True when none of the gateways measured for `docs/router.md` passes this row. */
  readonly onlyHere?: true;
  readonly provider?: string;
  readonly model?: string;
  readonly params?: Partial<DeploymentParams>;
  readonly kind?: "count_tokens";
  readonly ask?: Partial<MessagesBody>;
  /** The provider's answer. Default: a short text, as a stream when the request asks for one. */
  readonly reply?: Reply | readonly Reply[];
  /** Checks the outcome. */
  readonly expect?: (seen: Seen) => void;
  /** For rows about time rather than content: runs the whole row. */
  readonly run?: (server: OpenAiServer) => Promise<void>;
}

/** What a row can check: the client's side and the provider's side. */
export interface Seen extends Outcome {
  /** The body of the last request that the provider got. */
  // oxlint-disable-next-line typescript/no-explicit-any -- rows look into requests freely
  readonly sent: any;
  readonly requests: readonly RecordedRequest[];
}

/** Runs one row. Rejects when it fails. */
export async function runRow(row: Row, server: OpenAiServer): Promise<void> {
  server.reset();
  if (row.run !== undefined) return row.run(server);
  const body = bodyOf(row.ask);
  const replies: readonly Reply[] = row.reply === undefined ? [] : [row.reply].flat();
  server.enqueue(...replies);
  const deployment = deploymentOf({
    apiBase: server.url,
    ...(row.provider === undefined ? {} : { provider: row.provider }),
    ...(row.model === undefined ? {} : { model: row.model }),
  });
  const outcome = await callUpstream(
    openaiUpstream,
    body,
    { ...deployment, params: { ...deployment.params, ...row.params } },
    row.kind === undefined ? {} : { kind: row.kind },
  );
  const requests = server.requests;
  row.expect?.({ ...outcome, requests, sent: requests.at(-1)?.body });
}

/** Groups rows by case, in the order of the table. */
export function casesOf(rows: readonly Row[]): Map<string, Row[]> {
  const cases = new Map<string, Row[]>();
  for (const row of rows) {
    const group = cases.get(row.id);
    if (group === undefined) cases.set(row.id, [row]);
    else group.push(row);
  }
  return cases;
}

// Short forms of what providers send.

type Fields = Record<string, unknown>;

/** A chunk with one choice. */
export function chunk(delta: Fields, finish: string | null = null, more: Fields = {}): Fields {
  return {
    id: "chatcmpl-1",
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...more,
  };
}

/** A delta of one tool call. */
export function call(index: number | undefined, fields: { id?: string; name?: string; args?: unknown }): Fields {
  const { id, name, args } = fields;
  return {
    ...(index === undefined ? {} : { index }),
    ...(id === undefined ? {} : { id, type: "function" }),
    function: { ...(name === undefined ? {} : { name }), ...(args === undefined ? {} : { arguments: args }) },
  };
}

export function calls(...entries: Fields[]): Fields {
  return chunk({ tool_calls: entries });
}

export const end = (finish: string): Fields => chunk({}, finish);
export const usageChunk = (usage: Fields): Fields => ({ id: "chatcmpl-1", choices: [], usage });
export const USAGE = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 };

/** An answer without a stream. */
export function answer(message: Fields, finish = "stop", more: Fields = {}): Reply {
  return {
    json: {
      id: "chatcmpl-1",
      object: "chat.completion",
      choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finish }],
      usage: USAGE,
      ...more,
    },
  };
}

export function stream(...chunks: unknown[]): Reply {
  return { chunks };
}

// Short forms of what clients send.

export const STREAM = { stream: true } as const;
export const READ_TOOL = {
  name: "Read",
  description: "Reads a file",
  input_schema: { type: "object", properties: { path: { type: "string" } }, required: ["path"] },
};

export function toolUse(id: string, input: Fields = {}, name = "Read"): Fields {
  return { type: "tool_use", id, name, input };
}

export function result(id: string, content?: unknown, more: Fields = {}): Fields {
  return { type: "tool_result", tool_use_id: id, ...(content === undefined ? {} : { content }), ...more };
}

export const text = (value: string, more: Fields = {}): Fields => ({ type: "text", text: value, ...more });
export const user = (...content: Fields[]): Fields => ({ role: "user", content });
export const assistant = (...content: Fields[]): Fields => ({ role: "assistant", content });

/** Roles of the messages that a provider got, in order. */
export function roles(seen: Seen): string[] {
  return (seen.sent.messages as { role: string }[]).map((message) => message.role);
}

/** Content of a message in a comparable form: `type:what`. */
export function blocks(seen: Seen): string[] {
  return seen.message.content.map((block) => {
    switch (block.type) {
      case "text":
        return `text:${block.text}`;
      case "thinking":
        return `thinking:${block.thinking}`;
      case "tool_use":
        return `${block.name}:${JSON.stringify(block.input)}`;
      default:
        return block.type;
    }
  });
}

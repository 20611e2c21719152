/**
 * What a row of the conformance table is, and how it is run: through the real upstream, over real HTTP, against a server
 * that answers what the row dictates.
 */
import type { MessagesBody } from "../request/request.ts";
import type { DeploymentParams } from "../routes/deployment.ts";
import { bodyOf, callUpstream, deploymentOf, type Outcome } from "../testing/call-upstream.ts";
import type { OpenAiServer, RecordedRequest, Reply } from "../testing/openai-server.ts";
import { openaiUpstream } from "../upstreams/openai.ts";

export interface Row {
  /** Number of the case; rows of one case share it. "+" marks cases beyond the forty. */
  readonly id: string;
  readonly title: string;
  /** None of the gateways measured for `docs/router.md` behaves so. */
  readonly nobody?: true;
  readonly provider?: string;
  readonly model?: string;
  readonly params?: Partial<DeploymentParams>;
  readonly kind?: "count_tokens";
  readonly ask?: Partial<MessagesBody>;
  /** What the provider answers. Default: a short text, as a stream when one was asked for. */
  readonly reply?: Reply | readonly Reply[];
  /** Looks at what came of it. */
  readonly expect?: (seen: Seen) => void;
  /** For rows about time, not content: does everything itself. */
  readonly run?: (server: OpenAiServer) => Promise<void>;
}

export interface Seen extends Outcome {
  /** The last request the provider got. */
  // oxlint-disable-next-line typescript/no-explicit-any -- rows look into requests freely
  readonly sent: any;
  readonly requests: readonly RecordedRequest[];
}

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

// What providers send, in few words.

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

/** A whole answer. */
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

// What clients send.

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

/** Roles of the messages a provider got, in order. */
export function roles(seen: Seen): string[] {
  return (seen.sent.messages as { role: string }[]).map((message) => message.role);
}

/** Content of a message, in a form to compare: `type:what`. */
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

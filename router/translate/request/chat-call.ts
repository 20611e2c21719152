/** Translates a Messages request into a chat completions request in the dialect of one deployment. Pure; runs for each try. */
import { asArray, isRecord, nonEmpty, type Json } from "../../base/json.ts";
import type { MessagesBody } from "../../request/request.ts";
import type { Deployment } from "../../routes/deployment.ts";
import { toChatToolChoice, toChatTools, ToolNames } from "../round-trip/tools.ts";
import type { ChatRequest } from "./chat.ts";
import { toChatMessages } from "./conversation.ts";
import type { Dialect, ThinkingWish } from "./dialects.ts";

/** The translated request, and what the answer's translation needs to know of it. */
export interface ChatCall {
  readonly request: ChatRequest;
  readonly names: ToolNames;
  /** Ids of the tool calls in the conversation, as the client writes them. */
  readonly callIds: ReadonlySet<string>;
  readonly stopSequences: readonly string[];
}

/** Translates `body` for `deployment`, whose provider speaks `dialect`. */
export function toChatCall(body: MessagesBody, deployment: Deployment, dialect: Dialect): ChatCall {
  const names = new ToolNames();
  const conversation = toChatMessages(body.system, body.messages, dialect);
  const request: ChatRequest = { model: deployment.model, messages: conversation.messages };
  const stream = body.stream === true;

  const limit = lowest(body.max_tokens, deployment.params.maxOutputTokens);
  if (limit !== undefined) request[dialect.tokensField] = Math.min(limit, dialect.mostTokens);

  if (dialect.sampling) copy(body, request, ["temperature", "top_p"]);
  if (dialect.topK) copy(body, request, ["top_k"]);

  const stopSequences = asArray(body["stop_sequences"]).filter((stop) => nonEmpty(stop) !== undefined) as string[];
  const stop = stopSequences.slice(0, dialect.maxStops);
  if (stop.length > 0) request.stop = stop;

  const tools = toChatTools(body.tools, names, dialect.cacheControl);
  if (tools.length > 0) {
    request.tools = tools;
    Object.assign(request, toChatToolChoice(body["tool_choice"], names, dialect.parallelToolCalls));
  }

  Object.assign(request, dialect.always);
  const wish = thinkingWish(body);
  if (wish !== undefined) Object.assign(request, dialect.thinking(wish));

  const schema = outputSchema(body);
  if (schema !== undefined) structured(request, schema, dialect, stream || tools.length > 0);

  if (stream) {
    request.stream = true;
    if (dialect.streamOptions) request["stream_options"] = { include_usage: true };
  }

  for (const [field, value] of Object.entries(deployment.params.defaults)) request[field] ??= value;
  for (const field of deployment.params.dropParams) delete request[field];
  Object.assign(request, deployment.params.extraBody);
  return { request, names, callIds: conversation.callIds, stopSequences };
}

/**
 * Reads Anthropic's three fields for thinking: `thinking.type`, `thinking.budget_tokens` and `output_config.effort`.
 * Undefined when the caller sets none of them; then the provider gets no such field either.
 */
export function thinkingWish(body: MessagesBody): ThinkingWish | undefined {
  const thinking = isRecord(body["thinking"]) ? body["thinking"] : {};
  const output = isRecord(body["output_config"]) ? body["output_config"] : {};
  const effort = nonEmpty(output["effort"]);
  switch (thinking["type"]) {
    case "disabled":
      return { mode: "off" };
    case "enabled": {
      const budget = thinking["budget_tokens"];
      return { mode: "on", effort, budgetTokens: typeof budget === "number" ? budget : undefined };
    }
    case undefined:
      return effort === undefined ? undefined : { mode: "auto", effort };
    default:
      return { mode: "auto", effort };
  }
}

function outputSchema(body: MessagesBody): Json | undefined {
  const output = isRecord(body["output_config"]) ? body["output_config"] : {};
  const format = isRecord(output["format"]) ? output["format"] : body["output_format"];
  if (!isRecord(format) || format["type"] !== "json_schema") return undefined;
  return isRecord(format["schema"]) ? format["schema"] : undefined;
}

/** Asks for JSON in the strongest way the provider supports. Where that is not a schema, the prompt describes the schema. */
function structured(request: ChatRequest, schema: Json, dialect: Dialect, busy: boolean): void {
  const kind = dialect.structured === "schema-alone" ? (busy ? "prompt" : "schema") : dialect.structured;
  if (kind === "schema") {
    request["response_format"] = {
      type: "json_schema",
      json_schema: { name: "answer", schema, strict: isStrict(schema) },
    };
    return;
  }
  if (kind === "object") request["response_format"] = { type: "json_object" };
  const text = `Answer with one JSON object and nothing else, not even a code fence. It must fit this JSON Schema:\n${JSON.stringify(schema)}`;
  const first = request.messages[0];
  if (first?.role !== "system") request.messages.unshift({ role: "system", content: text });
  else if (typeof first.content === "string") first.content += `\n\n${text}`;
  else first.content.push({ type: "text", text });
}

/** OpenAI's strict mode accepts only schemas that close every object and require every property. */
function isStrict(schema: unknown): boolean {
  if (Array.isArray(schema)) return schema.every(isStrict);
  if (!isRecord(schema)) return true;
  const properties = schema["properties"];
  if (isRecord(properties)) {
    const required = new Set(asArray(schema["required"]));
    if (schema["additionalProperties"] !== false) return false;
    if (!Object.keys(properties).every((name) => required.has(name))) return false;
  } else if (schema["type"] === "object") return false;
  return Object.values(schema).every((value) => typeof value !== "object" || isStrict(value));
}

function copy(from: Json, to: ChatRequest, fields: readonly string[]): void {
  for (const field of fields) {
    const value = from[field];
    if (value !== undefined && value !== null) to[field] = value;
  }
}

function lowest(asked: unknown, most: number | undefined): number | undefined {
  if (typeof asked !== "number") return most;
  return most === undefined ? asked : Math.min(asked, most);
}

/**
 * Translates a request of `POST /v1/chat/completions` into a Messages body. `answer.ts` translates the answer back.
 *
 * A field that would change the answer and is not available (several choices, audio, log probabilities) is refused by
 * name. Hints that only tune the answer (seed, penalties) are dropped.
 */
import { asArray, isRecord, nonEmpty, type Json } from "../base/json.ts";
import type { MessagesBody } from "../request/request.ts";
import { toolInput } from "../translate/answer/json-guard.ts";
import { mergeDetails } from "../translate/round-trip/reasoning.ts";

/** What the answer's translation needs to know of the request. */
export interface ChatRequestInfo {
  readonly stream: boolean;
  /** `stream_options.include_usage` */
  readonly includeUsage: boolean;
}

/** The translated request, or the reason for refusing it. */
export type ChatTranslation =
  | { readonly ok: true; readonly body: MessagesBody; readonly info: ChatRequestInfo }
  | { readonly ok: false; readonly failure: ChatRefusal };

/** Why a request is refused. `param` is the path of the field, as OpenAI writes it: `messages[2].content[0]`. */
export interface ChatRefusal {
  readonly status: number;
  readonly message: string;
  readonly param: string | null;
}

/** The limit for a caller that gives none, because Anthropic requires one. Deployments lower it where necessary. */
const DEFAULT_MAX_TOKENS = 16_384;

class Refused extends Error {
  readonly param: string;
  constructor(param: string, message: string) {
    super(message);
    this.param = param;
  }
}

/** Translates a request. `raw` is the parsed request body. */
export function chatRequestToMessages(raw: unknown): ChatTranslation {
  try {
    return translate(raw);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { ok: false, failure: { status: 400, message: `${error.param}: ${error.message}`, param: error.param } };
  }
}

function translate(raw: unknown): ChatTranslation {
  if (!isRecord(raw)) throw new Refused("body", "a JSON object is expected.");
  const model = nonEmpty(raw["model"]);
  if (model === undefined) throw new Refused("model", "a model is required.");
  if (!Array.isArray(raw["messages"]) || raw["messages"].length === 0) {
    throw new Refused("messages", "a list with at least one message is required.");
  }
  refuseUnavailable(raw);
  const { system, messages } = toMessages(raw["messages"]);
  const format = outputFormat(raw["response_format"], system);
  const stream = raw["stream"] === true;
  const body: MessagesBody = {
    model,
    max_tokens: number(raw, "max_completion_tokens") ?? number(raw, "max_tokens") ?? DEFAULT_MAX_TOKENS,
    messages,
  };
  if (system.length > 0) body.system = system;
  if (stream) body.stream = true;
  const temperature = number(raw, "temperature");
  // OpenAI's scale ends at 2, Anthropic's at 1.
  if (temperature !== undefined) body["temperature"] = Math.min(temperature, 1);
  const topP = number(raw, "top_p");
  if (topP !== undefined) body["top_p"] = topP;
  const stop = toStopSequences(raw["stop"]);
  if (stop.length > 0) body["stop_sequences"] = stop;
  const tools = toTools(raw["tools"]);
  if (tools.length > 0) {
    body.tools = tools;
    const choice = toToolChoice(raw["tool_choice"], raw["parallel_tool_calls"] === false);
    if (choice !== undefined) body["tool_choice"] = choice;
  }
  Object.assign(body, toThinking(raw["reasoning_effort"], format));
  const userId = nonEmpty(raw["user"]);
  if (userId !== undefined) body["metadata"] = { user_id: userId };
  const options = raw["stream_options"];
  const includeUsage = isRecord(options) && options["include_usage"] === true;
  return { ok: true, body, info: { stream, includeUsage } };
}

function refuseUnavailable(raw: Json): void {
  const refused: readonly [field: string, given: boolean, why: string][] = [
    ["n", typeof raw["n"] === "number" && raw["n"] !== 1, "only one choice can be generated."],
    ["logprobs", raw["logprobs"] === true, "log probabilities are not available."],
    ["functions", asArray(raw["functions"]).length > 0, "use tools instead."],
    ["audio", isRecord(raw["audio"]), "audio output is not available."],
    ["modalities", asArray(raw["modalities"]).some((kind) => kind !== "text"), "only text output is available."],
    ["web_search_options", isRecord(raw["web_search_options"]), "web search is not available here."],
  ];
  for (const [field, given, why] of refused) if (given) throw new Refused(field, why);
}

function number(raw: Json, field: string): number | undefined {
  const value = raw[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number") throw new Refused(field, "a number is expected.");
  return value;
}

/** Moves system and developer messages to the front, and tool results into the user turn that follows them. */
function toMessages(list: readonly unknown[]): { system: Json[]; messages: Json[] } {
  const system: Json[] = [];
  const messages: { role: string; content: Json[] }[] = [];
  const add = (role: string, content: Json[]): void => {
    const last = messages.at(-1);
    // Anthropic's turns alternate, so parallel tool results must share one.
    if (last?.role === role) last.content.push(...content);
    else messages.push({ role, content });
  };
  for (const [i, message] of list.entries()) {
    const at = `messages[${i}]`;
    if (!isRecord(message)) throw new Refused(at, "an object is expected.");
    switch (message["role"]) {
      case "system":
      case "developer":
        system.push(...toBlocks(message["content"], `${at}.content`));
        break;
      case "user":
        add("user", toBlocks(message["content"], `${at}.content`));
        break;
      case "assistant":
        add("assistant", toAssistant(message, at));
        break;
      case "tool": {
        const id = nonEmpty(message["tool_call_id"]);
        if (id === undefined) throw new Refused(`${at}.tool_call_id`, "the id of a tool call is required.");
        const content = toBlocks(message["content"], `${at}.content`);
        add("user", [{ type: "tool_result", tool_use_id: id, content }]);
        break;
      }
      default:
        throw new Refused(`${at}.role`, "system, developer, user, assistant or tool is expected.");
    }
  }
  return { system, messages: messages.filter((message) => message.content.length > 0) };
}

function toAssistant(message: Json, at: string): Json[] {
  const blocks: Json[] = [];
  const details: Json[] = [];
  mergeDetails(details, message["reasoning_details"]);
  // Thinking is sent back only with its signature: providers that sign thinking refuse it without one.
  for (const detail of details) {
    const signature = nonEmpty(detail["signature"]);
    const thinking = nonEmpty(detail["text"]);
    if (thinking !== undefined && signature !== undefined) blocks.push({ type: "thinking", thinking, signature });
    else if (nonEmpty(detail["data"]) !== undefined) blocks.push({ type: "redacted_thinking", data: detail["data"] });
  }
  if (message["content"] !== null && message["content"] !== undefined) {
    blocks.push(...toBlocks(message["content"], `${at}.content`));
  }
  const refusal = nonEmpty(message["refusal"]);
  if (refusal !== undefined) blocks.push({ type: "text", text: refusal });
  for (const [i, call] of asArray(message["tool_calls"]).entries()) {
    const where = `${at}.tool_calls[${i}]`;
    if (!isRecord(call) || !isRecord(call["function"])) throw new Refused(where, "a call of a function is expected.");
    const name = nonEmpty(call["function"]["name"]);
    const id = nonEmpty(call["id"]);
    if (name === undefined) throw new Refused(`${where}.function.name`, "a name is required.");
    if (id === undefined) throw new Refused(`${where}.id`, "an id is required.");
    blocks.push({ type: "tool_use", id, name, input: toolInput(call["function"]["arguments"] ?? "") });
  }
  return blocks;
}

function toBlocks(content: unknown, at: string): Json[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  if (content === null || content === undefined) return [];
  if (!Array.isArray(content)) throw new Refused(at, "a string or a list of parts is expected.");
  return content.flatMap((part: unknown, i) => {
    if (!isRecord(part)) throw new Refused(`${at}[${i}]`, "a part is expected.");
    const block = toBlock(part, `${at}[${i}]`);
    if (block === undefined) return [];
    return isRecord(part["cache_control"]) ? [{ ...block, cache_control: part["cache_control"] }] : [block];
  });
}

function toBlock(part: Json, at: string): Json | undefined {
  switch (part["type"]) {
    case "text":
    case "refusal": {
      const text = nonEmpty(part["text"]) ?? nonEmpty(part["refusal"]);
      return text === undefined ? undefined : { type: "text", text };
    }
    case "image_url": {
      const image = part["image_url"];
      const url = typeof image === "string" ? image : isRecord(image) ? nonEmpty(image["url"]) : undefined;
      if (url === undefined) throw new Refused(`${at}.image_url.url`, "the address of an image is required.");
      return { type: "image", source: toSource(url, `${at}.image_url.url`) };
    }
    case "file": {
      const file = isRecord(part["file"]) ? part["file"] : {};
      const data = nonEmpty(file["file_data"]);
      if (data === undefined) throw new Refused(`${at}.file.file_data`, "only files sent as data are available.");
      const title = nonEmpty(file["filename"]);
      const source = toSource(data, `${at}.file.file_data`);
      return { type: "document", source, ...(title === undefined ? {} : { title }) };
    }
    default:
      throw new Refused(`${at}.type`, `parts of type ${JSON.stringify(part["type"] ?? null)} are not available.`);
  }
}

/** An image or file source: an address, or the data of a `data:` URL. */
function toSource(url: string, at: string): Json {
  if (!url.startsWith("data:")) return { type: "url", url };
  const comma = url.indexOf(",");
  const [mediaType = "", ...options] = url.slice("data:".length, comma).split(";");
  if (comma < 0 || !options.includes("base64")) throw new Refused(at, "a data: URL in base64 is expected.");
  return { type: "base64", media_type: mediaType, data: url.slice(comma + 1) };
}

function toStopSequences(stop: unknown): string[] {
  if (typeof stop === "string") return stop === "" ? [] : [stop];
  return asArray(stop).filter((item) => nonEmpty(item) !== undefined) as string[];
}

function toTools(tools: unknown): Json[] {
  return asArray(tools).map((tool, i) => {
    const fn = isRecord(tool) && tool["type"] === "function" ? tool["function"] : undefined;
    if (!isRecord(fn)) throw new Refused(`tools[${i}]`, "only tools of type function are available.");
    const name = nonEmpty(fn["name"]);
    if (name === undefined) throw new Refused(`tools[${i}].function.name`, "a name is required.");
    const description = nonEmpty(fn["description"]);
    const schema = isRecord(fn["parameters"]) ? fn["parameters"] : { type: "object", properties: {} };
    return { name, ...(description === undefined ? {} : { description }), input_schema: schema };
  });
}

function toToolChoice(choice: unknown, once: boolean): Json | undefined {
  const serial = once ? { disable_parallel_tool_use: true } : {};
  switch (choice) {
    case undefined:
    case null:
      return once ? { type: "auto", ...serial } : undefined;
    case "auto":
      return { type: "auto", ...serial };
    case "required":
      return { type: "any", ...serial };
    case "none":
      return { type: "none" };
    default: {
      const fn = isRecord(choice) ? choice["function"] : undefined;
      const name = isRecord(fn) ? nonEmpty(fn["name"]) : undefined;
      if (name === undefined) throw new Refused("tool_choice", "none, auto, required or a function is expected.");
      return { type: "tool", name, ...serial };
    }
  }
}

function toThinking(effort: unknown, format: Json | undefined): Json {
  const output: Json = format === undefined ? {} : { format };
  const out: Json = {};
  if (effort === "none") out["thinking"] = { type: "disabled" };
  else if (typeof effort === "string") {
    out["thinking"] = { type: "adaptive" };
    output["effort"] = effort === "minimal" ? "low" : effort;
  }
  if (Object.keys(output).length > 0) out["output_config"] = output;
  return out;
}

/** A schema as Anthropic's output format. There is none for "any JSON object", so the system prompt asks for one. */
function outputFormat(format: unknown, system: Json[]): Json | undefined {
  if (!isRecord(format)) return undefined;
  const wrapped = isRecord(format["json_schema"]) ? format["json_schema"] : {};
  if (format["type"] === "json_schema") {
    if (!isRecord(wrapped["schema"])) throw new Refused("response_format.json_schema.schema", "a schema is required.");
    return { type: "json_schema", schema: wrapped["schema"] };
  }
  if (format["type"] === "json_object") {
    system.push({ type: "text", text: "Answer with one JSON object and nothing else, not even a code fence." });
  }
  return undefined;
}

/** Tools: translates Anthropic's declarations into functions and `tool_choice`, and shortens and restores long names. */
import type { ChatCompletionFunctionTool, ChatCompletionToolChoiceOption } from "openai/resources/chat/completions";
import { asArray, isRecord, nonEmpty, shortHash, type Json } from "../../base/json.ts";

/** OpenAI's limit for a function's name. Anthropic allows 128 characters, and MCP tools use them. */
const NAME_LIMIT = 64;
/** Name for a call whose model never said which tool it meant. */
export const UNNAMED_TOOL = "unnamed_tool";

/** A name within the limit. The same long name always gives the same short one, because history and declarations must agree. */
export function shortToolName(name: string): string {
  return name.length <= NAME_LIMIT ? name : `${name.slice(0, NAME_LIMIT - 9)}_${shortHash(name)}`;
}

/** Maps the upstream's tool names back to the caller's. */
export class ToolNames {
  readonly #names = new Map<string, string>();

  add(name: string): void {
    this.#names.set(shortToolName(name), name);
  }

  has(name: string): boolean {
    return this.#names.has(shortToolName(name));
  }

  /** Also removes what models add to names: `functions.Read`, `Read<|channel|>commentary`. Unknown names are returned as they are. */
  restore(upstreamName: string): string {
    const known = this.#names.get(upstreamName);
    if (known !== undefined) return known;
    const mark = upstreamName.indexOf("<|");
    const bare = (mark > 0 ? upstreamName.slice(0, mark) : upstreamName).trim();
    return this.#names.get(bare) ?? this.#names.get(bare.slice(bare.lastIndexOf(".") + 1)) ?? upstreamName;
  }
}

/**
 * Client tools as functions. Tools that Anthropic's servers run (`web_search_*`, ...) are left out: they have no schema
 * and cannot run here.
 */
export function toChatTools(tools: unknown, names: ToolNames, cacheControl: boolean): ChatCompletionFunctionTool[] {
  const functions: ChatCompletionFunctionTool[] = [];
  for (const tool of asArray(tools)) {
    if (!isRecord(tool) || (nonEmpty(tool["type"]) ?? "custom") !== "custom") continue;
    const name = nonEmpty(tool["name"]);
    if (name === undefined || names.has(name)) continue;
    names.add(name);
    const description = nonEmpty(tool["description"]);
    functions.push({
      type: "function",
      function: {
        name: shortToolName(name),
        ...(description === undefined ? {} : { description }),
        parameters: toParameters(tool["input_schema"]),
      },
      ...(cacheControl && isRecord(tool["cache_control"]) ? { cache_control: tool["cache_control"] } : {}),
    });
  }
  return functions;
}

/** A schema that every provider accepts: an object with `properties` and without `$schema`. */
function toParameters(schema: unknown): Json {
  if (!isRecord(schema)) return { type: "object", properties: {} };
  const clean = cleanSchema(schema, false) as Json;
  if (clean["type"] === "object" && isRecord(clean["properties"])) return clean;
  return { ...clean, type: "object", properties: isRecord(clean["properties"]) ? clean["properties"] : {} };
}

/** Keywords whose value maps names to schemas, so that its keys are not keywords themselves. */
const NAME_MAPS = new Set(["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"]);
/** Keywords whose value is data, not a schema. */
const DATA = new Set(["enum", "const", "default", "examples", "required"]);

/** Removes `$schema` at any depth. Copies only what changes, so most schemas are returned as the same object. */
function cleanSchema(node: unknown, namesOnly: boolean): unknown {
  if (Array.isArray(node)) {
    const cleaned = node.map((item) => cleanSchema(item, false));
    return cleaned.some((item, i) => item !== node[i]) ? cleaned : node;
  }
  if (!isRecord(node)) return node;
  let copy: Json | undefined;
  for (const key of Object.keys(node)) {
    const value = node[key];
    if (typeof value === "object" && value !== null && (namesOnly || !DATA.has(key))) {
      const cleaned = cleanSchema(value, !namesOnly && NAME_MAPS.has(key));
      if (cleaned !== value) (copy ??= { ...node })[key] = cleaned;
    } else if (!namesOnly && key === "$schema") {
      copy ??= { ...node };
      delete copy[key];
    }
  }
  return copy ?? node;
}

/** The request fields that express a tool choice. */
export interface ChatToolChoice {
  tool_choice?: ChatCompletionToolChoiceOption;
  parallel_tool_calls?: false;
}

/** Translates `tool_choice`. The caller must have tools left to choose from, since providers refuse a choice without tools. */
export function toChatToolChoice(choice: unknown, names: ToolNames, parallelField: boolean): ChatToolChoice {
  if (!isRecord(choice)) return {};
  const once =
    choice["disable_parallel_tool_use"] === true && parallelField ? { parallel_tool_calls: false as const } : {};
  const name = nonEmpty(choice["name"]);
  switch (choice["type"]) {
    case "auto":
      return { tool_choice: "auto", ...once };
    case "any":
      return { tool_choice: "required", ...once };
    case "none":
      return { tool_choice: "none" };
    case "tool":
      // A tool that was left out cannot be required.
      if (name === undefined || !names.has(name)) return once;
      return { tool_choice: { type: "function", function: { name: shortToolName(name) } }, ...once };
    default:
      return once;
  }
}

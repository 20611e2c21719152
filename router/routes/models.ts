/** `GET /v1/models`: the model names to choose from, in Anthropic's shape or OpenAI's. */
import { DEMO_MODEL } from "./model-names.ts";
import type { RouteList } from "./route-entry.ts";

/** A model with the fields that both shapes need. */
export interface ListedModel {
  readonly id: string;
  /** The name's prefix, or "gantry". */
  readonly owner: string;
  readonly maxInputTokens: number | null;
  readonly maxOutputTokens: number | null;
}

/** Each name once, in the order of the file, then aliases and `others`. A wildcard is a pattern, so it is not listed. */
export function listModels(config: RouteList, others: readonly string[]): ListedModel[] {
  const listed = new Map<string, ListedModel>();
  for (const entry of config.routes) {
    if (entry.name.includes("*") || listed.has(entry.name)) continue;
    listed.set(entry.name, {
      id: entry.name,
      owner: ownerOf(entry.name),
      maxInputTokens: entry.contextTokens ?? null,
      maxOutputTokens: entry.params.maxOutputTokens ?? null,
    });
  }
  for (const id of [...config.aliases.keys(), ...others, DEMO_MODEL]) {
    if (!listed.has(id)) listed.set(id, { id, owner: ownerOf(id), maxInputTokens: null, maxOutputTokens: null });
  }
  return [...listed.values()];
}

function ownerOf(name: string): string {
  const slash = name.indexOf("/");
  return slash > 0 ? name.slice(0, slash) : "gantry";
}

/** We do not know release dates; Anthropic's own list uses the epoch for an unknown one. */
const UNKNOWN_DATE = "1970-01-01T00:00:00Z";

/** The list in Anthropic's shape, all on one page. */
export function toAnthropicList(models: readonly ListedModel[]): object {
  return {
    data: models.map(({ id, maxInputTokens, maxOutputTokens }) => ({
      type: "model" as const,
      id,
      display_name: id,
      created_at: UNKNOWN_DATE,
      max_input_tokens: maxInputTokens,
      max_tokens: maxOutputTokens,
      capabilities: null,
      line: null,
      lifecycle: "active" as const,
      deprecated_at: null,
      retires_at: null,
    })),
    first_id: models[0]?.id ?? null,
    last_id: models.at(-1)?.id ?? null,
    has_more: false,
  };
}

/** The list in OpenAI's shape. */
export function toOpenAiList(models: readonly ListedModel[]): object {
  return {
    object: "list" as const,
    data: models.map(({ id, owner }) => ({ id, object: "model" as const, created: 0, owned_by: owner })),
  };
}

/** `GET /v1/models`: the names a person can choose from, in Anthropic's shape or OpenAI's. */
import { DEMO_MODEL } from "./model-names.ts";
import type { RouteList } from "./route-entry.ts";

/** A model as both shapes need it. */
export interface ListedModel {
  readonly id: string;
  /** Prefix of the name, or "gantry". */
  readonly owner: string;
  readonly maxInputTokens: number | null;
  readonly maxOutputTokens: number | null;
}

/** Names without a star, each once, in the order of the file, then `others` that are not among them. A wildcard is no name. */
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

/** Release dates are not ours to know; Anthropic's own list writes the epoch for that. */
const UNKNOWN_DATE = "1970-01-01T00:00:00Z";

/** Anthropic's list. Everything is on one page. */
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

export function toOpenAiList(models: readonly ListedModel[]): object {
  return {
    object: "list" as const,
    data: models.map(({ id, owner }) => ({ id, object: "model" as const, created: 0, owned_by: owner })),
  };
}

/**
 * What the engine of a session may ask of a provider. A sandbox that has no network of its own must not get one through
 * its model: a provider fetches pages, runs code and calls servers when a request says so.
 *
 * Fields and betas that are not listed are left out, because engines grow new ones. Tools and files of the provider that
 * are not listed are refused.
 */
import { asArray, isRecord } from "../base/json.ts";
import { MessagesRequest } from "./messages-request.ts";
import type { Checked } from "./request.ts";

/** Fields that change what a model says, or describe the request. None makes the provider reach further than its model. */
const FIELDS = wordsOf(
  "model messages system max_tokens stream temperature top_p top_k stop_sequences tools tool_choice",
  "metadata thinking output_config output_format context_management cache_control diagnostics",
  "safeguards tags speed service_tier inference_geo",
);

/** Types of tools: those that the caller runs, the engine's web search, and the advisor of an agent's setup. */
const TOOL_TYPES =
  /^(?:custom|(?:bash|text_editor|computer|memory|web_search|advisor|tool_search_tool(?:_regex|_bm25)?)_\d{8})$/;

/** Betas without their date. They belong to the fields and tools above. */
const BETAS = wordsOf(
  "claude-code claude-code-side-query request-tags program-use-case-ids token-counting",
  "interleaved-thinking adaptive-thinking redact-thinking thinking-token-count",
  "thinking-display-updates thinking-binding-controls effort task-budgets per-turn-control context-1m",
  "context-management context-hint prompt-caching-scope prompt-caching-evict extended-cache-ttl",
  "cache-diagnosis cache-keepalive structured-outputs fast-mode timing fine-grained-tool-streaming",
  "token-efficient-tools advanced-tool-use tool-search-tool tool-provenance",
  "mid-conversation-tool-changes mid-conversation-system mid-conversation-system-clear-at",
  "subagent-review auto-mode-classifier afk-mode web-search web-search-results-only",
  "advisor-tool dangerous-tool-use",
);

/** Headers of Anthropic's that a session may send; betas are filtered besides. */
const HEADERS = new Set(["anthropic-version", "anthropic-beta"]);

/** Content nests a few levels. A body that nests deeper is not an engine's. */
const DEEPEST = 64;

/** Removes in place what a session may not send. `headers` are those that would be forwarded. */
export function limitHeaders(headers: Headers): void {
  const refused = Array.from(headers.keys()).filter((name) => name.startsWith("anthropic-") && !HEADERS.has(name));
  for (const name of refused) headers.delete(name);
  const betas = (headers.get("anthropic-beta") ?? "").split(",").map((beta) => beta.trim());
  const allowed = betas.filter((beta) => BETAS.has(beta.replace(/-\d{4}-?\d{2}-?\d{2}$/, "")));
  if (allowed.length === 0) headers.delete("anthropic-beta");
  else headers.set("anthropic-beta", allowed.join(","));
}

/** The request with only the fields that a session may send, or a 400 that names what is refused. */
export async function limitRequest(
  request: MessagesRequest,
  kind: "messages" | "count_tokens",
): Promise<Checked<MessagesRequest>> {
  let limited = request;
  if (request.names().some((name) => !FIELDS.has(name))) {
    const body = await request.body();
    if (!body.ok) return body;
    const kept = Object.fromEntries(Object.entries(body.value).filter(([name]) => FIELDS.has(name)));
    const written = await MessagesRequest.from(new TextEncoder().encode(JSON.stringify(kept)), kind);
    if (!written.ok) return written;
    limited = written.value;
  }
  for (const [index, tool] of asArray(limited.valueOf("tools")).entries()) {
    const type = isRecord(tool) ? (tool["type"] ?? "custom") : undefined;
    if (typeof type !== "string" || !TOOL_TYPES.test(type)) {
      return refuse(`tools.${index}.type`, "this tool of the provider is not available to sessions");
    }
  }
  // Most requests name no file, and are not parsed for this.
  if (!limited.mentions("file_id") && !limited.mentions("container_upload") && !limited.hidesText()) {
    return { ok: true, value: limited };
  }
  const body = await limited.body();
  if (!body.ok) return body;
  for (const name of ["messages", "system"]) {
    const field = findFile(body.value[name], name, 0);
    if (field !== undefined) return refuse(field, "files of the provider are not available to sessions");
  }
  return { ok: true, value: limited };
}

/** The path of a block that names a file kept by the provider; undefined when there is none. */
function findFile(value: unknown, path: string, depth: number): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (depth > DEEPEST) return path;
  if (isRecord(value)) {
    const { type, source } = value;
    if (type === "container_upload" || (isRecord(source) && source["type"] === "file")) return path;
    // What a tool was asked is text for the model, whatever it looks like.
    if (type === "tool_use") return undefined;
  }
  for (const [name, each] of Object.entries(value)) {
    const found = findFile(each, `${path}.${name}`, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function refuse(field: string, reason: string): { ok: false; failure: { status: number; message: string } } {
  return { ok: false, failure: { status: 400, message: `${field}: ${reason}` } };
}

function wordsOf(...lines: string[]): ReadonlySet<string> {
  return new Set(lines.flatMap((line) => line.split(" ")));
}

/**
 * The most a model call may cost, before it is made. Each part errs upwards: what is reserved too much comes back when the
 * call has ended, but what is reserved too little lets calls at the same time pass a budget.
 */
import { asArray, isRecord, type Json } from "../base/json.ts";
import type { Usage } from "../base/usage.ts";
import { matchesFor, type Switchboard } from "../dispatch/dispatch.ts";
import type { Estimate, Unpriced } from "../money/budget.ts";
import { costOf, priceOf, type Price } from "../money/prices.ts";
import { tierFactor } from "../money/tiers.ts";
import type { Checked } from "../request/request.ts";
import type { Deployment } from "../routes/deployment.ts";
import type { RouteEntry } from "../routes/route-entry.ts";
import { toDeployment } from "../routes/routes.ts";
import { estimateTokens } from "../translate/request/count.ts";
import type { AcceptedCall } from "./record.ts";

/** The longest input a model takes, for routes that state no `max_input_tokens`. */
const LONGEST_INPUT_TOKENS = 1_000_000;
/** Turns a provider takes by itself in one call when a tool of its own has no `max_uses`. */
const USUAL_TOOL_USES = 10;
/** Tokens that one use of a provider's tool may add to the input of the next turn, unless the tool states a limit. */
const RESULT_TOKENS = 10_000;
const FETCHED_TOKENS = 100_000;
/** US dollars for one use of a provider's tool; a web search costs a cent, five minutes of a code container less. */
const TOOL_USE_USD = 0.01;

/** Tools with a type of Anthropic's that the caller runs itself. Any other type is run by the provider, and billed. */
const RUN_BY_CALLER = /^(?:custom|bash|text_editor|computer|memory)(?:_|$)/;

/** Estimates a call from its body. Any deployment that may answer counts, fallbacks too; the most expensive one decides. */
export async function toEstimate(call: AcceptedCall, board: Switchboard): Promise<Checked<Estimate>> {
  const { caller, request, requestId, kind } = call;
  const about = { requestId, ...caller, model: request.model };
  // Counting tokens is free. Asking the ledger still stops an account that has nothing left.
  if (kind === "count_tokens") {
    return { ok: true, value: { ...about, inputTokens: 0, maxOutputTokens: 0, maxCostUsd: 0 } };
  }
  const body = await request.body();
  if (!body.ok) return body;
  const need = needOf(body.value);
  const maxOutputTokens = request.maxTokens ?? 0;
  let inputTokens = need.inputTokens;
  let maxCostUsd = 0;
  let unpriced: Unpriced | undefined;
  for (const match of matchesFor(request.model, call.match, board)) {
    for (const entry of match.entries) {
      const deployment = toDeployment(entry, match, board.env);
      if ("unusable" in deployment) continue;
      const price = priceOf(deployment.provider, deployment.model, entry.price);
      if (price === null) {
        unpriced ??= { route: entry.name, model: `${deployment.provider}/${deployment.model}` };
        continue;
      }
      const usage = worstUsage(need, maxOutputTokens, entry, deployment);
      inputTokens = Math.max(inputTokens, usage.inputTokens);
      const tools = deployment.apiFormat === "anthropic" ? need.toolUses * TOOL_USE_USD : 0;
      const dollars = costOf(usage, dearest(price, request)) * tierFactor(request, deployment) + tools;
      maxCostUsd = Math.max(maxCostUsd, dollars);
    }
  }
  const known = unpriced === undefined ? { maxCostUsd } : { maxCostUsd: null, unpriced };
  return { ok: true, value: { ...about, inputTokens, maxOutputTokens, ...known } };
}

/** What a body asks for that costs money. */
interface Need {
  /** Tokens of what the body itself holds. */
  readonly inputTokens: number;
  /** Tokens of documents that the body holds as PDF. */
  readonly documentTokens: number;
  /** Whether it names a document or file that only the provider can see, of whatever length. */
  readonly unseen: boolean;
  /** How often the provider may use tools of its own, over all tools. */
  readonly toolUses: number;
  /** Tokens that one of these uses may add. */
  readonly resultTokens: number;
}

function needOf(body: Json): Need {
  const found = { documentTokens: 0, unseen: false };
  for (const message of asArray(body["messages"])) if (isRecord(message)) lookAt(message["content"], found, 0);
  lookAt(body["system"], found, 0);
  let toolUses = isRecord(body["mcp_servers"]) || asArray(body["mcp_servers"]).length > 0 ? USUAL_TOOL_USES : 0;
  let resultTokens = RESULT_TOKENS;
  for (const tool of asArray(body["tools"])) {
    const type = isRecord(tool) ? tool["type"] : undefined;
    if (!isRecord(tool) || typeof type !== "string" || RUN_BY_CALLER.test(type)) continue;
    toolUses += wholeOf(tool["max_uses"], USUAL_TOOL_USES);
    if (type.startsWith("web_fetch")) {
      resultTokens = Math.max(resultTokens, wholeOf(tool["max_content_tokens"], FETCHED_TOKENS));
    }
  }
  return { inputTokens: estimateTokens(body), ...found, toolUses, resultTokens };
}

/** Content nests only so deep: a document in a tool's result. Deeper nesting is counted as unseen. */
const DEEPEST = 8;

function lookAt(content: unknown, found: { documentTokens: number; unseen: boolean }, depth: number): void {
  if (depth > DEEPEST) found.unseen = true;
  else {
    for (const block of asArray(content)) {
      if (!isRecord(block)) continue;
      const source = isRecord(block["source"]) ? block["source"] : {};
      const isImage = block["type"] === "image";
      if (block["type"] === "container_upload") found.unseen = true;
      else if (!isImage && (source["type"] === "url" || source["type"] === "file")) found.unseen = true;
      else if (!isImage && typeof source["data"] === "string" && source["type"] === "base64") {
        // A compressed page of text has about as many tokens as its PDF has letters in base64.
        found.documentTokens += source["data"].length;
      }
      lookAt(block["content"], found, depth + 1);
      lookAt(source["content"], found, depth + 1);
    }
  }
}

function worstUsage(need: Need, maxOutputTokens: number, entry: RouteEntry, deployment: Deployment): Usage {
  const longest = entry.contextTokens ?? LONGEST_INPUT_TOKENS;
  const given = need.inputTokens + need.documentTokens;
  const first = need.unseen ? Math.max(longest, given) : given;
  const input = entry.contextTokens === undefined ? first : Math.min(first, longest);
  // Tools of Anthropic's servers are removed from requests to other providers.
  const uses = deployment.apiFormat === "anthropic" ? need.toolUses : 0;
  // Each turn sends again what came before it.
  const turns = (uses * (uses + 1) * need.resultTokens) / 2 + input * (uses + 1);
  return {
    inputTokens: Math.ceil(Math.min(turns, Math.max(input, longest) * (uses + 1))),
    outputTokens: Math.min(maxOutputTokens, deployment.params.maxOutputTokens ?? Number.POSITIVE_INFINITY),
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
  };
}

/** The price with input as dear as the request allows: tokens that are written to a cache cost more than plain ones. */
function dearest(price: Price, request: AcceptedCall["request"]): Price {
  if (!request.mentions("cache_control")) return price;
  return {
    ...price,
    input: Math.max(price.input, price.cacheWrite, request.mentions("1h") ? price.cacheWriteHour : 0),
  };
}

function wholeOf(value: unknown, usual: number): number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : usual;
}

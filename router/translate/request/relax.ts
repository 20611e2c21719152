/**
 * A second try with a simpler request.
 *
 * "OpenAI-compatible" servers refuse different parameters, and say so: `Unsupported parameter: 'max_tokens'`. When such an
 * answer names something we sent, this one point of the dialect is changed and the request is sent again. A refused
 * request is not billed, and the client has received nothing yet.
 */
import type { ChatRequest } from "./chat.ts";
import type { Dialect } from "./dialects.ts";

const REFUSED =
  /unsupported|not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed|extra (?:inputs|fields)|invalid parameter|does not accept|only .{0,40}supported|must be a string|cannot be combined|no endpoints found/i;

const CHANGES: readonly {
  readonly named: RegExp;
  readonly sent: (request: ChatRequest, dialect: Dialect) => boolean;
  readonly change: Partial<Dialect>;
}[] = [
  {
    named: /max_completion_tokens/,
    sent: (request) => "max_tokens" in request,
    change: { tokensField: "max_completion_tokens" },
  },
  {
    named: /max_completion_tokens/,
    sent: (request) => "max_completion_tokens" in request,
    change: { tokensField: "max_tokens" },
  },
  { named: /stream_options/, sent: (request) => "stream_options" in request, change: { streamOptions: false } },
  {
    named: /parallel_tool_calls/,
    sent: (request) => "parallel_tool_calls" in request,
    change: { parallelToolCalls: false },
  },
  { named: /temperature|top_p/, sent: (r) => "temperature" in r || "top_p" in r, change: { sampling: false } },
  { named: /top_k/, sent: (request) => "top_k" in request, change: { topK: false } },
  { named: /\bstop\b/, sent: (request) => "stop" in request, change: { maxStops: 0 } },
  {
    named: /response_format|json_schema|structured output/i,
    sent: (request) => "response_format" in request,
    change: { structured: "prompt" },
  },
  {
    named: /messages?.{0,80}reasoning|reasoning.{0,40}(?:message|property)|property '?reasoning/s,
    sent: (_request, dialect) => dialect.reasoningBack !== null,
    change: { reasoningBack: null, reasoningRequired: false },
  },
  {
    named: /reasoning_effort|reasoning_format|'reasoning'|'thinking'|"thinking"/,
    sent: (r) => "reasoning_effort" in r || "reasoning" in r || "thinking" in r || "reasoning_format" in r,
    change: { always: {}, thinking: () => ({}) },
  },
  {
    named: /cache_control/,
    sent: (_request, dialect) => dialect.cacheControl,
    change: { cacheControl: false },
  },
  {
    named: /image|vision|multimodal|multi-modal|content.{0,40}must be a string/i,
    sent: hasImages,
    change: { images: false },
  },
];

/** The error of thinking models that require their earlier reasoning, at any provider. */
const REASONING_MISSING = /reasoning_content.{0,80}(?:must be passed back|missing)|missing.{0,20}reasoning_content/is;

/** The dialect for a second try; undefined when the answer names nothing that can be left out. */
export function relax(status: number, answer: string, request: ChatRequest, dialect: Dialect): Dialect | undefined {
  if (status !== 400 && status !== 422 && status !== 404) return undefined;
  if (REASONING_MISSING.test(answer) && dialect.reasoningBack !== "reasoning_content") {
    return { ...dialect, reasoningBack: "reasoning_content", reasoningRequired: true };
  }
  const most = tokenLimit(answer, request, dialect);
  if (most !== undefined) return { ...dialect, mostTokens: most };
  if (!REFUSED.test(answer)) return undefined;
  const found = CHANGES.find(({ named, sent }) => named.test(answer) && sent(request, dialect));
  return found === undefined ? undefined : { ...dialect, ...found.change };
}

/**
 * Reads the limit in "max_tokens is too large: 32000. This model supports at most 16384 completion tokens". Claude Code
 * asks every model for 32,000.
 */
function tokenLimit(answer: string, request: ChatRequest, { tokensField }: Dialect): number | undefined {
  const asked = request[tokensField];
  if (typeof asked !== "number" || !/max_(?:completion_)?tokens/.test(answer)) return undefined;
  const said = /(?:at most|less than or equal to|<=|cannot exceed|maximum(?: value)?(?: of| is|:)?) *`?(\d{3,7})/i.exec(
    answer,
  )?.[1];
  return said !== undefined && Number(said) < asked ? Number(said) : undefined;
}

function hasImages(request: ChatRequest): boolean {
  return request.messages.some(
    (message) =>
      message.role === "user" &&
      typeof message.content !== "string" &&
      message.content.some((part) => part.type === "image_url"),
  );
}

/** One answer of the demonstration model: its content, and its behaviour on the wire. */
import { z } from "zod";

const text = z.string().max(4_000_000);
const waitMs = z.number().min(0).max(3_600_000);
const count = z.int().min(0).max(1_000_000_000);

const ToolCall = z.strictObject({
  name: z.string().min(1).max(200),
  input: z.record(z.string(), z.unknown()).default({}),
  /** Default: a fresh id. */
  id: z.string().min(1).max(200).optional(),
});

const UsageOverride = z.strictObject({
  input_tokens: count.optional(),
  output_tokens: count.optional(),
  cache_read_input_tokens: count.optional(),
  cache_creation_input_tokens: count.optional(),
});

const STOP_REASONS = [
  "end_turn",
  "max_tokens",
  "stop_sequence",
  "tool_use",
  "pause_turn",
  "refusal",
  "model_context_window_exceeded",
] as const;

const STREAM_ERRORS = [
  "invalid_request_error",
  "authentication_error",
  "billing_error",
  "permission_error",
  "not_found_error",
  "request_too_large",
  "rate_limit_error",
  "timeout_error",
  "overloaded_error",
  "api_error",
] as const;

/** The grammar of a step. Unknown keys are refused, because a test with a misspelt key would test nothing. */
export const Step = z
  .strictObject({
    thinking: text.optional(),
    /** `""` is an answer without any content. */
    text: text.optional(),
    tool: z.string().min(1).max(200).optional(),
    input: z.record(z.string(), z.unknown()).optional(),
    tools: z.array(ToolCall).max(100).optional(),
    /** Default: `tool_use` with tool calls, otherwise `end_turn`. */
    stopReason: z.enum(STOP_REASONS).optional(),
    /** Overrides the estimate of one token per four characters. */
    usage: UsageOverride.optional(),
    /** Wait before the first byte. */
    ttftMs: waitMs.optional(),
    /** Characters per delta. */
    chunk: z.int().min(1).max(1_000_000).optional(),
    /** Wait before each delta. */
    chunkMs: waitMs.optional(),
    /** Go silent after this many deltas, for `stallMs`. */
    stallAfter: count.optional(),
    stallMs: waitMs.optional(),
    /** Break the stream after this many deltas, without a normal end. */
    cutAfter: count.optional(),
    /** Ends the stream with an `error` event instead of normally. */
    streamError: z.enum(STREAM_ERRORS).optional(),
    /** An HTTP error for the first `times` calls of this step; without `times`, for every call. */
    fail: z
      .strictObject({
        status: z.int().min(400).max(599),
        times: z.int().min(1).max(1_000_000).optional(),
        /** Sent as `retry-after`: seconds, or an HTTP date. */
        retryAfter: z.union([z.number().min(0), z.string().max(100)]).optional(),
      })
      .optional(),
  })
  .refine((step) => step.tool === undefined || step.tools === undefined, {
    path: ["tools"],
    error: "give tool or tools, not both",
  })
  .refine((step) => step.input === undefined || step.tool !== undefined, { path: ["input"], error: "input needs tool" })
  .refine((step) => step.stallMs === undefined || step.stallAfter !== undefined, {
    path: ["stallMs"],
    error: "stallMs needs stallAfter",
  });

export type Step = z.infer<typeof Step>;

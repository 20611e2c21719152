import { ERROR_STATUS, RequestRefused, errorMessage } from "@gantry/protocol/error.ts";
import type { ApiError } from "@gantry/protocol/error.ts";
import { report } from "./log.ts";
import { isOfStorage } from "./bounded.ts";

/** Anthropic's error type for each HTTP status, for the doors under `/v1`. */
const ANTHROPIC_TYPE: Record<number, string> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  405: "invalid_request_error",
  406: "invalid_request_error",
  409: "invalid_request_error",
  413: "request_too_large",
  429: "rate_limit_error",
};

/**
 * The one function that turns an error into a response. Under `/v1` the body has Anthropic's shape; the prompt doors have
 * a flat shape of their own.
 */
export function errorResponse(error: unknown, path: string, requestId: string): Response {
  const refused = refusalOf(error);
  if (refused.code === "internal" || refused.code === "storage_unavailable")
    report({
      event: refused.code === "internal" ? "internal_error" : refused.code,
      requestId,
      path,
      error: textOf(error),
    });
  const status = ERROR_STATUS[refused.code];
  const message = errorMessage(refused);
  const field = refused.code === "invalid_request" ? refused.field : undefined;
  const details =
    refused.code === "heartbeat_precondition_failed"
      ? { error_code: refused.code, current_state: refused.state }
      : undefined;
  const errorCode = "errorCode" in refused ? refused.errorCode : undefined;
  const headers: Record<string, string> = { "request-id": requestId, "cache-control": "no-store" };
  if (status === 401) headers["www-authenticate"] = "Bearer";
  if (["queue_full", "sandbox_unavailable", "storage_unavailable"].includes(refused.code)) headers["retry-after"] = "5";
  if (refused.code === "too_many_at_once") headers["retry-after"] = String(refused.retryAfter);
  if (refused.code === "idempotency_in_flight") headers["retry-after"] = "1";
  // `/query` has a third shape, which its clients expect.
  if (path === "/query") {
    const error = status === 401 ? "Unauthorized" : message;
    return Response.json({ success: false, error, requestId, ...(field ? { field } : {}) }, { status, headers });
  }
  const body = path.startsWith("/v1/")
    ? {
        type: "error",
        error: {
          type: ANTHROPIC_TYPE[status] ?? "api_error",
          message,
          ...(field ? { param: field } : {}),
          ...(details ? { details } : {}),
          ...(errorCode ? { details: { error_code: errorCode } } : {}),
        },
        request_id: requestId,
      }
    : { type: "error", error: refused.code, message, requestId, ...(field ? { field } : {}) };
  return Response.json(body, { status, headers });
}

/** The refusal to answer with. An object whose disk is full or fails throws a plain error, which is recognized here. */
function refusalOf(error: unknown): ApiError {
  if (error instanceof RequestRefused) return error.error;
  return isOfStorage(error) ? { code: "storage_unavailable", part: "storage" } : { code: "internal" };
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const text = error.stack ?? error.message;
  return error.cause === undefined ? text : `${text}\n${textOf(error.cause)}`;
}

/**
 * Failures as Anthropic clients know them: one map between status and type, and the only function that makes the Response.
 *
 * Wire shape: `{"type":"error","error":{"type","message"},"request_id"}`. Messages are written for the person who made the
 * call. They never contain a key, a header or an upstream's address with credentials in it.
 */

/** The error types of Anthropic's API. Clients switch on them; a type we invented would reach their default branch. */
export type ErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "billing_error"
  | "permission_error"
  | "not_found_error"
  | "request_too_large"
  | "rate_limit_error"
  | "timeout_error"
  | "overloaded_error"
  | "api_error";

/** What went wrong, before it becomes a Response or an `event: error`. */
export interface RouterFailure {
  readonly status: number;
  /** Default: the type that belongs to the status. */
  readonly type?: ErrorType;
  readonly message: string;
  /** Seconds or an HTTP date, exactly as the upstream wrote it. */
  readonly retryAfter?: string | undefined;
  /** Default: false for statuses that fail the same way every time (see `isRetryable`), otherwise the client's own rule. */
  readonly shouldRetry?: boolean;
}

const TYPE_BY_STATUS: Readonly<Record<number, ErrorType>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  409: "invalid_request_error",
  413: "request_too_large",
  422: "invalid_request_error",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

const STATUS_BY_TYPE: Readonly<Record<ErrorType, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  timeout_error: 504,
  overloaded_error: 529,
  api_error: 500,
};

/** Defined for every status: an unlisted 4xx is the request's fault, everything else the API's. */
export function errorTypeOf(status: number): ErrorType {
  return TYPE_BY_STATUS[status] ?? (status >= 400 && status < 500 ? "invalid_request_error" : "api_error");
}

/** The HTTP status that belongs to an error type. */
export function statusOf(type: ErrorType): number {
  return STATUS_BY_TYPE[type];
}

/** Whether `value` is one of Anthropic's error types; an upstream may send anything. */
export function isErrorType(value: unknown): value is ErrorType {
  return typeof value === "string" && Object.hasOwn(STATUS_BY_TYPE, value);
}

/**
 * Whether the same request may succeed later or at another deployment. 409 is Anthropic's "conflict, try again".
 * A status outside 400-599 means a broken upstream and counts as its failure.
 */
export function isRetryable(status: number): boolean {
  if (status >= 400 && status < 500) return status === 408 || status === 409 || status === 429;
  return true;
}

/** The JSON body of an error. */
export interface ErrorBody {
  readonly type: "error";
  readonly error: { readonly type: ErrorType; readonly message: string };
  readonly request_id: string;
}

/** The body of a failure, with the type filled in from the status where it is missing. */
export function errorBody(failure: RouterFailure, requestId: string): ErrorBody {
  const type = failure.type ?? errorTypeOf(failure.status);
  return { type: "error", error: { type, message: failure.message }, request_id: requestId };
}

/** Makes every error Response. Sets `request-id`, `retry-after` and `x-should-retry`. */
export function errorResponse(failure: RouterFailure, requestId: string): Response {
  const headers = new Headers({ "content-type": "application/json", "request-id": requestId });
  if (failure.retryAfter !== undefined) headers.set("retry-after", failure.retryAfter);
  const shouldRetry = failure.shouldRetry ?? (isRetryable(failure.status) ? undefined : false);
  if (shouldRetry !== undefined) headers.set("x-should-retry", String(shouldRetry));
  return new Response(JSON.stringify(errorBody(failure, requestId)), { status: failure.status, headers });
}

/** The same failure inside a stream that has already begun. Nothing may follow it, not even `message_stop`. */
export function errorEvent(failure: RouterFailure, requestId: string): string {
  return `event: error\ndata: ${JSON.stringify(errorBody(failure, requestId))}\n\n`;
}

/**
 * Every reason to refuse a request, as data. `worker/base/errors.ts` is the only code that turns one into a response.
 * Further details stay in the log.
 */
export type ApiError =
  | { readonly code: "unauthorized" }
  | { readonly code: "forbidden_host"; readonly host: string }
  | { readonly code: "forbidden_origin"; readonly origin: string }
  /** The key is valid but has none of these scopes. */
  | { readonly code: "forbidden_scope"; readonly needs: readonly string[] }
  /** `errorCode` is Managed Agents' code for this case, for clients that have an error class for it. */
  | { readonly code: "not_found"; readonly what: string; readonly errorCode?: string }
  | { readonly code: "method_not_allowed"; readonly method: string; readonly allowed: string }
  | { readonly code: "malformed_json"; readonly reason: string }
  /** `field` is a path in the body, such as `additionalArgs[1]`, or the name of a parameter or header. */
  | { readonly code: "invalid_request"; readonly field: string; readonly reason: string; readonly errorCode?: string }
  /** The object's state does not allow the request: another client changed it, or it is running or archived. */
  | { readonly code: "conflict"; readonly reason: string }
  /** A condition of the request (`If-Match`, `If-None-Match`) does not hold. */
  | { readonly code: "precondition_failed"; readonly header: string }
  /** Another worker may hold the lease of the work item. */
  | { readonly code: "heartbeat_precondition_failed"; readonly state: Readonly<Record<string, unknown>> }
  /** The idempotency key was used for a different request. */
  | { readonly code: "idempotency_mismatch" }
  /** The first request with this idempotency key has not been answered yet. */
  | { readonly code: "idempotency_in_flight" }
  /** The route cannot answer with any type in the `Accept` header. */
  | { readonly code: "not_acceptable"; readonly offered: string }
  | { readonly code: "body_too_large"; readonly maxBytes: number }
  | { readonly code: "queue_full"; readonly max: number }
  /** The account, or the session, has as many of these open as it may have. `retryAfter` is in seconds. */
  | {
      readonly code: "too_many_at_once";
      readonly what: string;
      readonly max: number;
      readonly of: "account" | "session";
      readonly retryAfter: number;
    }
  | { readonly code: "storage_full"; readonly freeBytes: number; readonly neededBytes: number }
  /** A part of the storage does not answer or cannot write: `catalog`, or `storage` when the part is unknown. */
  | { readonly code: "storage_unavailable"; readonly part: string }
  | { readonly code: "sandbox_unavailable"; readonly reason: string }
  | { readonly code: "internal" };

export type ErrorCode = ApiError["code"];

/** HTTP status of each error. */
export const ERROR_STATUS: Record<ErrorCode, number> = {
  unauthorized: 401,
  forbidden_host: 403,
  forbidden_origin: 403,
  forbidden_scope: 403,
  not_found: 404,
  method_not_allowed: 405,
  malformed_json: 400,
  invalid_request: 400,
  conflict: 409,
  precondition_failed: 412,
  heartbeat_precondition_failed: 412,
  idempotency_mismatch: 409,
  idempotency_in_flight: 409,
  not_acceptable: 406,
  body_too_large: 413,
  queue_full: 429,
  too_many_at_once: 429,
  storage_full: 507,
  storage_unavailable: 503,
  sandbox_unavailable: 503,
  internal: 500,
};

/** The message that the client reads. */
export function errorMessage(error: ApiError): string {
  switch (error.code) {
    case "unauthorized":
      return "Missing or wrong API key. Send it as `Authorization: Bearer KEY` or `x-api-key: KEY`.";
    case "forbidden_host":
      return `This server does not answer to the host name ${JSON.stringify(error.host)}. Use an IP address or localhost, or list the name in GANTRY_ALLOWED_HOSTS.`;
    case "forbidden_origin":
      return `Requests from pages of ${JSON.stringify(error.origin)} are not accepted.`;
    case "forbidden_scope":
      return `This key is not allowed to do this: it needs one of the scopes ${error.needs.join(", ")}.`;
    case "not_found":
      return `${error.what} not found.`;
    case "method_not_allowed":
      return `${error.method} is not allowed here; use ${error.allowed}.`;
    case "malformed_json":
      return `The body is not valid JSON: ${error.reason}`;
    case "invalid_request":
      return `${error.field}: ${error.reason}`;
    case "conflict":
      return error.reason;
    case "precondition_failed":
      return `${error.header}: the file does not meet this condition.`;
    case "heartbeat_precondition_failed":
      return "expected_last_heartbeat is not the last heartbeat: another worker may hold this work.";
    case "idempotency_mismatch":
      return "This Idempotency-Key was used for another request in the last 24 hours. Use a new one.";
    case "idempotency_in_flight":
      return "The first request with this Idempotency-Key has not been answered yet. Send it again in a moment.";
    case "not_acceptable":
      return `This route has none of the types in the Accept header; use ${error.offered}.`;
    case "body_too_large":
      return `The body is larger than ${error.maxBytes} bytes.`;
    case "queue_full":
      return `${error.max} prompts are already waiting in this session.`;
    case "too_many_at_once":
      return `This ${error.of} has ${error.max} ${error.what} open at the same time, as many as it may have. Try again in ${error.retryAfter} seconds.`;
    case "storage_full":
      return `Only ${error.freeBytes} bytes are free on the disk that holds the state; ${error.neededBytes} are needed to accept work safely.`;
    case "storage_unavailable":
      return `The ${error.part} is unavailable at the moment. Send the request again in a few seconds.`;
    case "sandbox_unavailable":
      return `The sandbox host does not respond: ${error.reason}`;
    case "internal":
      return "Internal error. The log has the details under this request id.";
  }
}

/** Thrown while a request is handled. The error handler of `worker/http` turns it into a response. */
export class RequestRefused extends Error {
  readonly error: ApiError;
  constructor(error: ApiError, options?: ErrorOptions) {
    super(errorMessage(error), options);
    this.name = "RequestRefused";
    this.error = error;
  }
}

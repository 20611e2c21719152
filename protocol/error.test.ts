import { describe, expect, it } from "vitest";
import { ERROR_STATUS, RequestRefused, errorMessage } from "./error.ts";
import type { ApiError, ErrorCode } from "./error.ts";

/** One error per code. The build fails when a code has no row here. */
const EXAMPLES: { [Code in ErrorCode]: { error: Extract<ApiError, { code: Code }>; status: number; says: string } } = {
  unauthorized: { error: { code: "unauthorized" }, status: 401, says: "x-api-key" },
  forbidden_host: { error: { code: "forbidden_host", host: 'evil"name' }, status: 403, says: '"evil\\"name"' },
  forbidden_origin: { error: { code: "forbidden_origin", origin: "http://evil" }, status: 403, says: '"http://evil"' },
  forbidden_scope: { error: { code: "forbidden_scope", needs: ["files", "admin"] }, status: 403, says: "files, admin" },
  not_found: { error: { code: "not_found", what: "Session x" }, status: 404, says: "Session x not found" },
  method_not_allowed: {
    error: { code: "method_not_allowed", method: "PUT", allowed: "GET, POST" },
    status: 405,
    says: "PUT is not allowed here; use GET, POST",
  },
  not_acceptable: {
    error: { code: "not_acceptable", offered: "text/plain, application/json" },
    status: 406,
    says: "use text/plain, application/json",
  },
  malformed_json: { error: { code: "malformed_json", reason: "at 3" }, status: 400, says: "at 3" },
  invalid_request: {
    error: { code: "invalid_request", field: "additionalArgs[1]", reason: "is wrong" },
    status: 400,
    says: "additionalArgs[1]: is wrong",
  },
  conflict: { error: { code: "conflict", reason: "version 2 by now" }, status: 409, says: "version 2 by now" },
  precondition_failed: {
    error: { code: "precondition_failed", header: "If-Match" },
    status: 412,
    says: "If-Match: the file does not meet this condition.",
  },
  heartbeat_precondition_failed: {
    error: { code: "heartbeat_precondition_failed", state: { last_heartbeat: null } },
    status: 412,
    says: "another worker",
  },
  idempotency_mismatch: { error: { code: "idempotency_mismatch" }, status: 409, says: "another request" },
  idempotency_in_flight: { error: { code: "idempotency_in_flight" }, status: 409, says: "not been answered" },
  body_too_large: { error: { code: "body_too_large", maxBytes: 7 }, status: 413, says: "7 bytes" },
  too_many_at_once: {
    error: { code: "too_many_at_once", what: "diffs", max: 1, of: "account", retryAfter: 2 },
    status: 429,
    says: "1 diffs open",
  },
  queue_full: { error: { code: "queue_full", max: 9 }, status: 429, says: "9 prompts" },
  storage_full: { error: { code: "storage_full", freeBytes: 5, neededBytes: 6 }, status: 507, says: "5 bytes" },
  storage_unavailable: {
    error: { code: "storage_unavailable", part: "catalog" },
    status: 503,
    says: "The catalog is unavailable",
  },
  sandbox_unavailable: { error: { code: "sandbox_unavailable", reason: "gone" }, status: 503, says: "gone" },
  internal: { error: { code: "internal" }, status: 500, says: "log" },
};

describe("errors", () => {
  it.each(Object.entries(EXAMPLES))("%s has its status and a message", (code, { error, status, says }) => {
    expect(ERROR_STATUS[code as ErrorCode]).toBe(status);
    expect(errorMessage(error)).toContain(says);
    const refused = new RequestRefused(error);
    expect(refused.error).toBe(error);
    expect(refused.message).toBe(errorMessage(error));
  });

  it("has no status for a code that does not exist", () => {
    expect(Object.keys(ERROR_STATUS).toSorted()).toEqual(Object.keys(EXAMPLES).toSorted());
  });
});

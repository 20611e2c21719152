import { joined } from "@gantry/protocol/bytes.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { createMiddleware } from "hono/factory";
import { jsonExcess } from "@gantry/protocol/json-limits.ts";
import type { z } from "zod";
import type { App, Principal } from "./context.ts";

/** Largest body of a request, in bytes. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;

/**
 * Reads and validates a JSON body, whatever its content type says. Throws `malformed_json`, `body_too_large`, or
 * `invalid_request` with the name of the first invalid field; `body` when it exceeds the limits of `jsonExcess`.
 */
export async function readJson<T extends z.ZodType>(request: Request, schema: T): Promise<z.infer<T>> {
  const bytes = await readBytes(request);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new RequestRefused({ code: "malformed_json", reason: "it is not UTF-8" });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RequestRefused({ code: "malformed_json", reason: error instanceof Error ? error.message : "unreadable" });
  }
  const excess = jsonExcess(value);
  if (excess !== null) throw new RequestRefused({ code: "invalid_request", field: "body", reason: excess });
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw refusedBy(parsed.error);
}

/** The `invalid_request` error for the first field that failed a schema. */
export function refusedBy(error: z.ZodError): RequestRefused {
  const issue = error.issues[0] && deepest(error.issues[0]);
  const path = [...(issue?.path ?? [])];
  if (issue?.code === "unrecognized_keys" && issue.keys[0] !== undefined) path.push(issue.keys[0]);
  const field = path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? String(key) : `${text}.${String(key)}`),
    "",
  );
  const reason = issue?.code === "unrecognized_keys" ? "unknown field" : (issue?.message ?? "invalid");
  return new RequestRefused({ code: "invalid_request", field: field || "body", reason });
}

/**
 * For a union, the issue of the branch that the client probably meant: one that failed below its root, or because of an
 * unknown field.
 */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const meant = issue.errors
    .map((branch) => branch[0])
    .find((first) => first !== undefined && (first.path.length > 0 || first.code === "unrecognized_keys"));
  return meant === undefined ? issue : deepest({ ...meant, path: [...issue.path, ...meant.path] });
}

/**
 * Bytes of an oversized body that are still read and discarded. A client that is cut off while it sends never sees the
 * answer.
 */
const MAX_DISCARDED_BYTES = 8 * MAX_BODY_BYTES;

/** Milliseconds that a refused body may take in total, and between two pieces. */
const DISCARD = { totalMs: 20_000, idleMs: 2_000 };

/**
 * Reads the rest of a refused body, so that a client that is still sending sees the answer. It never throws, and it ends
 * with the body, after `MAX_DISCARDED_BYTES`, or when the client is slower than `limits`. The runtime closes the
 * connection of an unread body after the answer, and from then on nothing can be read.
 */
export async function discardBody({ body }: Request, limits = DISCARD): Promise<void> {
  if (body === null || body.locked) return;
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  const stop = (): void => void reader.cancel("The request was refused.").catch(() => {});
  const total = setTimeout(stop, limits.totalMs);
  let idle = setTimeout(stop, limits.idleMs);
  try {
    for (let size = 0; size <= MAX_DISCARDED_BYTES;) {
      const { done, value } = await reader.read();
      if (done) return;
      size += value.byteLength;
      clearTimeout(idle);
      idle = setTimeout(stop, limits.idleMs);
    }
    stop();
  } catch {
    // The client is gone.
  } finally {
    clearTimeout(total);
    clearTimeout(idle);
  }
}

/**
 * Reads the rest of a refused request's body before the answer leaves, but only for a known sender. A stranger gets the
 * answer at once, whatever is outstanding: otherwise half a body, sent without a key, would hold a connection.
 */
export const drainRefused = createMiddleware<App>(async (c, next) => {
  await next();
  const known: Principal | undefined = c.get("principal");
  if (c.res.status >= 400 && known !== undefined) await discardBody(c.req.raw);
});

/** The bytes of a body. Throws `body_too_large` above `MAX_BODY_BYTES`. */
export async function readBytes(request: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > MAX_DISCARDED_BYTES) break;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    else chunks.length = 0;
  }
  if (size > MAX_BODY_BYTES) throw new RequestRefused({ code: "body_too_large", maxBytes: MAX_BODY_BYTES });
  return joined(chunks);
}

import { joined } from "@gantry/protocol/bytes.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { z } from "zod";

/** Largest body of a request. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;

/** Reads and validates a JSON body, whatever its content type says. Refuses with the name of the first bad field. */
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
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw refusedBy(parsed.error);
}

/** The refusal that names the first field a schema did not like. */
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
 * Of a union the issue of the branch that was meant: one that failed not at its root but further in, or at a field
 * that it does not know.
 */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const meant = issue.errors
    .map((branch) => branch[0])
    .find((first) => first !== undefined && (first.path.length > 0 || first.code === "unrecognized_keys"));
  return meant === undefined ? issue : deepest({ ...meant, path: [...issue.path, ...meant.path] });
}

/** How much of a body that is too large is still read (and thrown away): a client that is cut off while it sends never sees the answer. */
const MAX_DISCARDED_BYTES = 8 * MAX_BODY_BYTES;

/** Reads on after a refusal, so that a client that is still sending gets to see the answer. Ends whatever happens. */
export async function discardBody({ body }: Request): Promise<void> {
  if (body === null || body.locked) return;
  try {
    let size = 0;
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > MAX_DISCARDED_BYTES) return;
    }
  } catch {
    // The client is gone, or the body was used already.
  }
}

/** The bytes of a body, up to the limit. */
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

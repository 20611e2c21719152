import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import type { z } from "zod";
import type { Actor } from "../../storage/audit.ts";
import { readCursor } from "../../storage/paging.ts";
import type { PageRequest } from "../../storage/paging.ts";
import { refusedBy } from "./body.ts";
import type { App } from "./context.ts";

/** The validated query of a request. Names that end in `[]` are lists. Throws `invalid_request` with the parameter's name. */
export function readQuery<T extends z.ZodType>(c: Context<App>, schema: T): z.infer<T> {
  const query: Record<string, string | string[]> = {};
  const parameters = new URL(c.req.url).searchParams;
  for (const name of new Set(parameters.keys()))
    query[name] = name.endsWith("[]") ? parameters.getAll(name) : (parameters.get(name) ?? "");
  const parsed = schema.safeParse(query);
  if (parsed.success) return parsed.data;
  throw refusedBy(parsed.error);
}

/** The page that a validated query asks for. */
export function pageOf(query: { limit: number; page?: string | undefined }): PageRequest {
  return { limit: query.limit, cursor: readCursor(query.page) };
}

/** The author of the change that a request makes, for the audit log. */
export function actorOf(c: Context<App>): Actor {
  const { account, keyId } = c.get("principal");
  return { account, keyId, requestId: c.get("requestId") };
}

/** Returns `thing`, or throws 404 when it is null: it does not exist, or it belongs to another account. */
export function found<T>(thing: T | null, what: string, id: string, errorCode?: string): T {
  if (thing !== null) return thing;
  const name = `${what} ${JSON.stringify(id)}`;
  throw new RequestRefused({ code: "not_found", what: name, ...(errorCode === undefined ? {} : { errorCode }) });
}

/** The conditions of a validated query on the creation time, with SQL operators and milliseconds since 1970. */
export function createdOf(
  query: Partial<Record<`created_at[${keyof typeof OPERATORS}]`, number | undefined>>,
): (readonly [(typeof OPERATORS)[keyof typeof OPERATORS], number])[] {
  return (["gt", "gte", "lt", "lte"] as const).flatMap((name) => {
    const at = query[`created_at[${name}]`];
    return at === undefined ? [] : [[OPERATORS[name], at] as const];
  });
}

const OPERATORS = { gt: ">", gte: ">=", lt: "<", lte: "<=" } as const;

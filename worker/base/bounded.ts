import { RequestRefused } from "@gantry/protocol/error.ts";
import { within } from "./within.ts";

/** Time limit of one catalog call in milliseconds. A normal call takes a few milliseconds. */
const CALL_MS = 10_000;

const PART = "catalog";
const CALLS: ReadonlySet<PropertyKey> = new Set(["first", "run", "all", "raw"]);

/** The original statement behind each proxy. A batch needs the originals. */
const plain = new WeakMap<D1PreparedStatement, D1PreparedStatement>();

/**
 * Wraps a database so that every call ends within `ms` milliseconds: with its result, or with `RequestRefused`
 * (`storage_unavailable`).
 */
export function bounded(db: D1Database, ms: number = CALL_MS): D1Database {
  return new Proxy(db, {
    get(target, name) {
      if (name === "prepare") return (sql: string) => statement(target.prepare(sql), ms);
      if (name === "batch")
        return (list: readonly D1PreparedStatement[]) =>
          end(() => target.batch(list.map((each) => plain.get(each) ?? each)), ms);
      return member(target, name);
    },
  });
}

function statement(original: D1PreparedStatement, ms: number): D1PreparedStatement {
  const ours = new Proxy(original, {
    get(target, name) {
      if (name === "bind") return (...values: unknown[]) => statement(target.bind(...values), ms);
      const value = member(target, name);
      if (!CALLS.has(name)) return value;
      return (...values: unknown[]) => end(() => (value as (...values: unknown[]) => Promise<unknown>)(...values), ms);
    },
  });
  plain.set(ours, original);
  return ours;
}

function member(target: object, name: PropertyKey): unknown {
  const value: unknown = Reflect.get(target, name);
  return typeof value === "function" ? value.bind(target) : value;
}

async function end<T>(call: () => Promise<T>, ms: number): Promise<T> {
  try {
    return await within(call(), ms, PART);
  } catch (error) {
    if (isOfStorage(error)) throw new RequestRefused({ code: "storage_unavailable", part: PART }, { cause: error });
    throw error;
  }
}

/** Whether the disk or the runtime failed, rather than the statement itself. */
export function isOfStorage(error: unknown): boolean {
  return (
    error instanceof Error &&
    /SQLITE_(FULL|IOERR|CANTOPEN|NOMEM)|disk I\/O error|^(D1_ERROR: )?internal error/.test(error.message)
  );
}

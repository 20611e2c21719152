import type { Row, Sql, Transaction } from "./sql.ts";

/** Tables of a few small rows that every prompt asks for several times, and seldom changes. */
const TABLES = new Set([
  "alarms",
  "audit_outbox",
  "peer_calls",
  "resources",
  "runs",
  "session",
  "settings",
  "totals",
  "triage",
  "waiting",
]);

/** A longer answer is somebody paging through what was: nobody asks for it again. */
const MAX_ROWS = 8;

/** Answers kept for a table; with one more all of them go. */
const MAX_ANSWERS = 50;

interface Plan {
  readonly reads: boolean;
  /** What it reads or writes; null: nobody knows. */
  readonly tables: readonly string[] | null;
}

/**
 * The same database, with the answers of small questions kept until one of their tables is written. A question costs
 * some twenty microseconds, and a prompt asks seventy of them. Right as long as everything is written through it: the
 * database is one object's alone. What a transaction takes back is forgotten with it.
 */
export function remembered(
  sql: Sql,
  transaction: Transaction,
): { readonly sql: Sql; readonly transaction: Transaction } {
  const plans = new Map<string, Plan>();
  const answers = new Map<string, Map<string, readonly Row[]>>();

  const planOf = (query: string): Plan => {
    let plan = plans.get(query);
    if (!plan) plans.set(query, (plan = toPlan(query)));
    return plan;
  };

  const read = (table: string, query: string, bindings: SqlStorageValue[]): readonly Row[] => {
    const key = bindings.length === 0 ? query : query + JSON.stringify(bindings);
    const kept = answers.get(table)?.get(key);
    if (kept) return kept;
    const rows = sql.exec(query, ...bindings).toArray();
    const ofTable = answers.get(table) ?? new Map<string, readonly Row[]>();
    if (ofTable.size >= MAX_ANSWERS) ofTable.clear();
    if (rows.length <= MAX_ROWS) answers.set(table, ofTable.set(key, rows.map(Object.freeze) as Row[]));
    return rows;
  };

  return {
    sql: {
      exec(query, ...bindings) {
        const { reads, tables } = planOf(query);
        const [table] = tables ?? [];
        if (reads) {
          if (table === undefined || !TABLES.has(table) || tables?.length !== 1) return sql.exec(query, ...bindings);
          const rows = read(table, query, bindings);
          return { toArray: () => [...rows] };
        }
        try {
          return sql.exec(query, ...bindings);
        } finally {
          if (table === undefined) answers.clear();
          else answers.delete(table);
        }
      },
    },
    transaction: (work) => {
      try {
        return transaction(work);
      } catch (error) {
        answers.clear();
        throw error;
      }
    },
  };
}

/** Exported for its table of cases. */
export function toPlan(query: string): Plan {
  const reads = /^\s*SELECT\b/i.test(query);
  if (reads)
    return { reads, tables: [...query.matchAll(/\b(?:FROM|JOIN)\s+([\w.]+)/gi)].map((match) => match[1] ?? "") };
  const written = /^\s*(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)/i.exec(query)?.[1];
  return { reads, tables: written === undefined ? null : [written] };
}

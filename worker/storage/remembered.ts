import type { Row, Sql, Transaction } from "./sql.ts";

/** Tables with a few small rows that every prompt reads several times and rarely changes. */
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

/** Most rows of a cached answer. A longer answer is a page of history, which is rarely read twice. */
const MAX_ROWS = 8;

/** Most cached answers per table. When the limit is reached, all answers of the table are dropped. */
const MAX_ANSWERS = 50;

interface Plan {
  readonly reads: boolean;
  /** The tables that the statement reads or writes; null when they are unknown. */
  readonly tables: readonly string[] | null;
}

/**
 * Wraps a database with a cache: small answers are kept until their table is written. A query costs about twenty
 * microseconds, and a prompt makes seventy of them. The cache is correct as long as all writes go through it, which holds
 * because the database belongs to a single object. A rolled-back transaction clears the cache.
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

/** Whether a statement reads, and which tables it touches. Exported for its test. */
export function toPlan(query: string): Plan {
  const reads = /^\s*SELECT\b/i.test(query);
  if (reads)
    return { reads, tables: [...query.matchAll(/\b(?:FROM|JOIN)\s+([\w.]+)/gi)].map((match) => match[1] ?? "") };
  const written = /^\s*(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|REPLACE\s+INTO|UPDATE|DELETE\s+FROM)\s+(\w+)/i.exec(query)?.[1];
  return { reads, tables: written === undefined ? null : [written] };
}

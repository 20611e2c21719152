/** A row of a result. */
export type Row = Record<string, SqlStorageValue>;

/** The part of SQLite that this code uses. A Durable Object's storage provides it; in tests a ten-line adapter does. */
export interface Sql {
  exec(query: string, ...bindings: SqlStorageValue[]): { toArray(): Row[] };
}

/** Text of a column; "" when the row is missing or the value is not a text. */
export function textOf(row: Row | undefined, column: string): string {
  const value = row?.[column];
  return typeof value === "string" ? value : "";
}

/** Number of a column; 0 when the row is missing or the value is not a number. */
export function numberOf(row: Row | undefined, column: string): number {
  const value = row?.[column];
  return typeof value === "number" ? value : 0;
}

/** Runs `work` in a transaction: if it throws, none of its statements take effect. `work` must be synchronous. */
export type Transaction = <T>(work: () => T) => T;

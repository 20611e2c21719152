import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { createTables } from "../store/schema.ts";
import type { Row, Sql, Transaction } from "../../storage/sql.ts";

/** A database in memory with the interface of a Durable Object's storage. */
export interface MemoryDatabase {
  readonly sql: Sql;
  readonly transaction: Transaction;
}

/** With the tables and the row of a session, unless `empty`. */
export function memoryDatabase(options: { empty?: boolean } = {}): MemoryDatabase {
  const database = new DatabaseSync(":memory:");
  const statements = new Map<string, StatementSync>();
  const sql: Sql = {
    exec(query, ...bindings) {
      let statement = statements.get(query);
      if (!statement) statements.set(query, (statement = database.prepare(query)));
      const rows = statement.all(...(bindings as (string | number | null)[])) as Row[];
      return { toArray: () => rows };
    },
  };
  if (!options.empty) {
    createTables(sql);
    sql.exec(
      "INSERT INTO session (id, account, created_at, engine_session_id) VALUES ('sesn_1', 'default', 0, '5f0c6ad3-6cbb-4f0a-9d6e-3b7a52d0c1aa')",
    );
  }
  const transaction: Transaction = (work) => {
    database.exec("SAVEPOINT work");
    try {
      const result = work();
      database.exec("RELEASE work");
      return result;
    } catch (error) {
      database.exec("ROLLBACK TO work; RELEASE work");
      throw error;
    }
  };
  return { sql, transaction };
}

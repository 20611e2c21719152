import { RequestRefused } from "@gantry/protocol/error.ts";
import { describe, expect, it } from "vitest";
import type { Env } from "../base/env.ts";
import { bounded } from "../base/bounded.ts";
import { catalog } from "./catalog.ts";

const never = (): Promise<never> => new Promise(() => {});

/** A database that answers each batch and statement with `call`. */
function database(call: (what: string) => Promise<unknown>): D1Database {
  const statement = {
    bind: () => statement,
    ...Object.fromEntries(["first", "run", "all", "raw"].map((name) => [name, () => call(name)])),
  };
  return {
    prepare: () => statement,
    batch: (list: unknown[]) => (list.every((each) => each === statement) ? call("batch") : Promise.reject(list)),
  } as unknown as D1Database;
}

describe("the catalog", () => {
  it("is opened by the next request when the first one never finishes", async () => {
    let batches = 0;
    const db = database(() => (++batches === 1 ? never() : Promise.resolve([])));
    const env = { DB: db } as unknown as Env;
    void catalog(env);
    await catalog(env);
    await catalog(env);
    expect(batches).toBe(2);
  });

  it("is opened again after a failure", async () => {
    let batches = 0;
    const env = {
      DB: database(() =>
        ++batches === 1 ? Promise.reject(new Error("D1_ERROR: no such thing")) : Promise.resolve([]),
      ),
    } as unknown as Env;
    await expect(catalog(env)).rejects.toThrow("no such thing");
    await catalog(env);
    expect(batches).toBe(2);
  });
});

describe("a call to the catalog", () => {
  const refused = { error: { code: "storage_unavailable", part: "catalog" } };
  const statementOf = (call: (what: string) => Promise<unknown>): D1PreparedStatement =>
    bounded(database(call), 20).prepare("SELECT 1").bind(1);

  it.each<[string, (statement: D1PreparedStatement) => Promise<unknown>]>([
    ["first", (statement) => statement.first()],
    ["run", (statement) => statement.run()],
    ["all", (statement) => statement.all()],
    ["raw", (statement) => statement.raw()],
  ])("%s ends although the database never answers", async (_name, call) => {
    await expect(call(statementOf(never))).rejects.toMatchObject(refused);
  });

  it("batch ends although the database never answers", async () => {
    const db = bounded(database(never), 20);
    await expect(db.batch([db.prepare("SELECT 1").bind(1)])).rejects.toMatchObject(refused);
  });

  it.each([
    "D1_ERROR: database or disk is full: SQLITE_FULL",
    "database or disk is full: SQLITE_FULL",
    "D1_ERROR: disk I/O error: SQLITE_IOERR (extended: SQLITE_IOERR_SHMSIZE)",
    "internal error; reference = abc",
  ])("reports a storage failure: %s", async (message) => {
    const error: unknown = await statementOf(() => Promise.reject(new Error(message)))
      .all()
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RequestRefused);
    expect(error).toMatchObject({ ...refused, cause: { message } });
  });

  it("passes results and a statement's own errors through", async () => {
    expect(await statementOf((what) => Promise.resolve(what)).all()).toBe("all");
    await expect(statementOf(() => Promise.reject(new Error("D1_ERROR: UNIQUE"))).run()).rejects.toThrow("UNIQUE");
  });
});

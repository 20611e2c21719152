import { timingSafeEqual } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Env } from "../base/env.ts";
import { catalog } from "../storage/catalog.ts";
import { createKey, findKey, isKeyOpen, revokeKey } from "./keys.ts";

beforeAll(() => {
  Object.assign(crypto.subtle, {
    timingSafeEqual: (a: ArrayBuffer, b: ArrayBuffer) => timingSafeEqual(Buffer.from(a), Buffer.from(b)),
  });
});

/** SQLite in memory with as much of D1's interface as the catalog uses. */
function database(file = new DatabaseSync(":memory:")): D1Database {
  const statement = (sql: string, values: unknown[]): object => {
    // SQLite in Node binds numbered parameters by position in the text, so each is written out.
    const numbered = /\?\d/.test(sql);
    const named = Object.fromEntries(values.map((value, index) => [`p${index + 1}`, value as string]));
    const run = (): unknown[] => {
      const prepared = file.prepare(numbered ? sql.replaceAll(/\?(\d+)/g, ":p$1") : sql);
      prepared.setAllowUnknownNamedParameters(true);
      return numbered ? prepared.all(named) : prepared.all(...(values as string[]));
    };
    const all = () => {
      const before = file.prepare("SELECT total_changes() AS n").get() as { n: number };
      const results = run();
      const after = file.prepare("SELECT total_changes() AS n").get() as { n: number };
      return { results, meta: { changes: after.n - before.n } };
    };
    return {
      bind: (...next: unknown[]) => statement(sql, next),
      all: async () => all(),
      run: async () => all(),
      first: async () => all().results[0] ?? null,
      now: all,
    };
  };
  return {
    prepare: (sql: string) => statement(sql, []),
    batch: async (list: { now: () => unknown }[]) => list.map((each) => each.now()),
  } as unknown as D1Database;
}

const later = (): void => {};
const actor = (keyId: string) => ({ account: "a", keyId, requestId: "req_1" });
const NEW = { account: "a", name: "k", scopes: ["admin"] as const, expiresInSeconds: null };
let env: Env;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  env = { DB: database(), GANTRY_API_KEY: "the key of the installation" } as unknown as Env;
});
afterEach(() => void vi.useRealTimers());

async function make(by: string, seconds: number | null = null) {
  const key = await createKey(env, actor(by), { ...NEW, expiresInSeconds: seconds });
  if (key === null) throw new Error("the key was not made");
  return key;
}

describe("sec/M10 a key made by a key", () => {
  it.each([
    ["asks for no end", null],
    ["asks for a later end", 100],
  ])("ends with it when it %s", async (_, seconds) => {
    const parent = await make("admin", 4);
    expect((await make(parent.id, seconds)).expires_at).toBe(parent.expires_at);
  });

  it("keeps its own end when that is earlier", async () => {
    const parent = await make("admin", 100);
    expect(Date.parse((await make(parent.id, 4)).expires_at ?? "")).toBe(Date.now() + 4_000);
  });

  it("is revoked with it, and so are the keys that it made", async () => {
    const parent = await make("admin");
    const child = await make(parent.id);
    const grandchild = await make(child.id);
    const other = await make("admin");
    expect(await isKeyOpen(env, grandchild.id, later)).toBe(true);
    expect(await revokeKey(env, actor("admin"), "a", parent.id)).toBe(true);
    for (const { key } of [parent, child, grandchild]) expect(await findKey(env, key, later)).toBeNull();
    expect(await findKey(env, other.key, later)).not.toBeNull();
    const db = await catalog(env);
    const entries = await db.prepare("SELECT target FROM audit WHERE action = 'key.revoke'").all<{ target: string }>();
    expect(entries.results.map(({ target }) => target).toSorted()).toEqual(
      [parent.id, child.id, grandchild.id].toSorted(),
    );
  });

  it("is not made by a key that has just been revoked elsewhere", async () => {
    const parent = await make("admin");
    const db = await catalog(env);
    await db.prepare("UPDATE keys SET revoked_at = 1 WHERE id = ?").bind(parent.id).run();
    expect(await createKey(env, actor(parent.id), NEW)).toBeNull();
  });

  it("is left alone by another account", async () => {
    const parent = await make("admin");
    const child = await make(parent.id);
    expect(await revokeKey(env, actor("admin"), "b", parent.id)).toBe(false);
    expect(await findKey(env, child.key, later)).not.toBeNull();
  });
});

it("sec/M10 a catalog of the version before gets the new column", async () => {
  const file = new DatabaseSync(":memory:");
  file.exec(`CREATE TABLE keys (id TEXT PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, hash TEXT NOT NULL,
    scopes TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER, last_used_at INTEGER, revoked_at INTEGER)`);
  env = { ...env, DB: database(file) };
  const parent = await make("admin");
  const child = await make(parent.id);
  await revokeKey(env, actor("admin"), "a", parent.id);
  expect(await isKeyOpen(env, child.id, later)).toBe(false);
});

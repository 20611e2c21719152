import { describe, expect, it } from "vitest";
import { FRESH_MS, KeyCache } from "./key-cache.ts";
import type { KnownKey } from "./key-cache.ts";

const KEY: KnownKey = { id: "key_1", account: "a", scopes: ["read"], hash: "", expiresAt: null };

/** A cache with a manual clock, over a table of keys that records each read. */
function world(max?: number) {
  const clock = { now: 1_000_000 };
  const table = new Map<string, KnownKey>([[KEY.id, KEY]]);
  const reads: string[] = [];
  const cache = new KeyCache(() => clock.now, max);
  const get = (id: string): Promise<KnownKey | null> =>
    cache.get(id, () => {
      reads.push(id);
      return Promise.resolve(table.get(id) ?? null);
    });
  return { clock, table, reads, cache, get };
}

describe("a cache of keys", () => {
  it("reads a key once in thirty seconds", async () => {
    const { clock, reads, get } = world();
    expect(await get("key_1")).toBe(KEY);
    clock.now += FRESH_MS - 1;
    expect(await get("key_1")).toBe(KEY);
    expect(reads).toEqual(["key_1"]);
  });

  it("notices a revocation elsewhere within thirty seconds, even when it is asked often", async () => {
    const { clock, table, get } = world();
    await get("key_1");
    table.delete("key_1");
    for (let waited = 0; waited < FRESH_MS; waited += 1_000) {
      expect(await get("key_1")).toBe(KEY);
      clock.now += 1_000;
    }
    expect(await get("key_1")).toBeNull();
  });

  it("forgets a key at once when it is revoked here", async () => {
    const { table, cache, get } = world();
    await get("key_1");
    table.delete("key_1");
    cache.forget("key_1");
    expect(await get("key_1")).toBeNull();
  });

  it("never makes a request wait for another request's read", async () => {
    const { cache, reads, get } = world();
    void cache.get("key_1", () => new Promise(() => {}));
    expect([await get("key_1"), await get("key_1")]).toEqual([KEY, KEY]);
    expect(reads).toEqual(["key_1"]);
  });

  it("does not cache a read that began before a revocation", async () => {
    const { cache, table, get } = world();
    let answer = (_key: KnownKey): void => {};
    const before = cache.get("key_1", () => new Promise((resolve) => (answer = resolve)));
    table.delete("key_1");
    cache.forget("key_1");
    answer(KEY);
    expect(await before).toBe(KEY);
    expect(await get("key_1")).toBeNull();
  });

  it("reads an unknown id only once", async () => {
    const { reads, get } = world();
    expect([await get("key_2"), await get("key_2")]).toEqual([null, null]);
    expect(reads).toEqual(["key_2"]);
  });

  it("does not cache failures", async () => {
    const { cache, get } = world();
    await expect(cache.get("key_1", () => Promise.reject(new Error("no database")))).rejects.toThrow("no database");
    expect(await get("key_1")).toBe(KEY);
  });

  it("does not grow without limit", async () => {
    const { reads, get } = world(3);
    for (const id of ["key_1", "a", "b", "c", "key_1"]) await get(id);
    expect(reads).toEqual(["key_1", "a", "b", "c", "key_1"]);
  });
});

import type { Env } from "../base/env.ts";
import { catalog } from "../storage/catalog.ts";
import type { PackStore } from "./packs.ts";

/** Prefix of a session's packs in the bucket. */
export function packPrefix(account: string, sessionId: string): string {
  return `snapshots/${account}/${sessionId}/`;
}

/** Most objects that R2 deletes at once, with a margin. */
const DELETE_AT_ONCE = 500;

/**
 * Packs in R2. The catalog records which session holds which pack, because forked sessions share packs: a pack is
 * removed when its last holder releases it. A session can get hold of an existing pack only from a holder, so none can
 * get hold of a pack that is being removed.
 */
export function packStore(env: Env, sessionId: string): PackStore {
  return {
    async hold(pack) {
      const db = await catalog(env);
      await db.prepare("INSERT OR IGNORE INTO packs (key, session) VALUES (?, ?)").bind(pack, sessionId).run();
    },
    async put(pack, contents) {
      await env.FILES.put(pack, contents);
    },
    async get(pack, range) {
      const object = await env.FILES.get(pack, range ? { range } : {});
      return object && new Uint8Array(await object.arrayBuffer());
    },
    async release(packs) {
      const db = await catalog(env);
      for (let from = 0; from < packs.length; from += DELETE_AT_ONCE) {
        const keys = packs.slice(from, from + DELETE_AT_ONCE);
        const list = JSON.stringify(keys);
        // The last release and the note to remove the pack are one batch: a crash leaves a note, not garbage.
        await db.batch([
          db
            .prepare("DELETE FROM packs WHERE session = ? AND key IN (SELECT value FROM json_each(?))")
            .bind(sessionId, list),
          db
            .prepare(
              "INSERT OR IGNORE INTO packs_to_remove (key) SELECT value FROM json_each(?) WHERE value NOT IN (SELECT key FROM packs)",
            )
            .bind(list),
        ]);
      }
      await removeUnheld(env);
    },
    async share(to, packs) {
      const db = await catalog(env);
      await db
        .prepare(
          "INSERT OR IGNORE INTO packs (key, session) SELECT key, ? FROM packs WHERE session = ? AND key IN (SELECT value FROM json_each(?))",
        )
        .bind(to, sessionId, JSON.stringify(packs))
        .run();
    },
    async held() {
      const db = await catalog(env);
      const rows = await db.prepare("SELECT key FROM packs WHERE session = ?").bind(sessionId).all<{ key: string }>();
      return rows.results.map((row) => row.key);
    },
  };
}

/** Removes packs that no session holds, including those that an interrupted session noted. */
async function removeUnheld(env: Env): Promise<void> {
  const db = await catalog(env);
  for (;;) {
    const rows = await db
      .prepare("SELECT key FROM packs_to_remove LIMIT ?")
      .bind(DELETE_AT_ONCE)
      .all<{ key: string }>();
    const keys = rows.results.map((row) => row.key);
    if (keys.length === 0) return;
    await env.FILES.delete(keys);
    await db
      .prepare("DELETE FROM packs_to_remove WHERE key IN (SELECT value FROM json_each(?))")
      .bind(JSON.stringify(keys))
      .run();
    if (keys.length < DELETE_AT_ONCE) return;
  }
}

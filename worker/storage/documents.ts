import { RequestRefused } from "@gantry/protocol/error.ts";
import { isId, newId } from "@gantry/protocol/ids.ts";
import { auditStatement } from "./audit.ts";
import type { Action, Actor } from "./audit.ts";
import type { Env } from "../base/env.ts";
import { catalog, toIso } from "./catalog.ts";
import { readPage } from "./paging.ts";
import type { Page, PageRequest } from "./paging.ts";

/** The fields that every document has in addition to its own. Times are ISO 8601. */
export interface Stamp {
  readonly id: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly archived_at: string | null;
}

interface Row {
  id: string;
  created_at: number;
  updated_at: number;
  archived_at: number | null;
  body: string;
}

type Kind = "environment" | "template" | "vault";

/** Makes further statements for the batch of a change. `now` is the time of the change in milliseconds since 1970. */
type Also = (db: D1Database, now: number) => D1PreparedStatement[];

const NOTHING: Also = () => [];

/**
 * A collection of one kind of object in the catalog. Each kind has its own table, which holds an object's fields as one
 * JSON text. Every change and its audit entry are one batch. An object of another account is treated like one that does
 * not exist: the answer is null or false.
 */
export class Documents<Body extends object, Thing extends { archived_at?: string | null }> {
  readonly #kind: Kind;
  readonly #toThing: (stamp: Stamp, body: Body) => Thing;

  /** @param kind the kind of the ids; its plural is the name of the table. */
  constructor(kind: Kind, toThing: (stamp: Stamp, body: Body) => Thing) {
    this.#kind = kind;
    this.#toThing = toThing;
  }

  get #table(): string {
    return `${this.#kind}s`;
  }

  get #select(): string {
    return `SELECT id, created_at, updated_at, archived_at, body FROM ${this.#table}`;
  }

  /** Reads an object, archived or not. */
  async get(env: Env, account: string, id: string): Promise<Thing | null> {
    if (!isId(this.#kind, id)) return null;
    const db = await catalog(env);
    const row = await db.prepare(`${this.#select} WHERE id = ? AND account = ?`).bind(id, account).first<Row>();
    return row === null ? null : this.#read(row);
  }

  /** Reads an object in order to change it. Throws `invalid_request`, with `errorCode` if given, when it is archived. */
  async getOpen(env: Env, account: string, id: string, errorCode?: string): Promise<Thing | null> {
    const thing = await this.get(env, account, id);
    if (thing === null || (thing.archived_at ?? null) === null) return thing;
    const reason = `this ${this.#kind} is archived`;
    throw new RequestRefused({
      code: "invalid_request",
      field: "id",
      reason,
      ...(errorCode === undefined ? {} : { errorCode }),
    });
  }

  /** Stores a new object in the actor's account. */
  async create(env: Env, actor: Actor, body: Body): Promise<Thing> {
    const db = await catalog(env);
    const now = Date.now();
    const row = {
      id: newId(this.#kind, now),
      created_at: now,
      updated_at: now,
      archived_at: null,
      body: JSON.stringify(body),
    };
    await db.batch([
      db
        .prepare(`INSERT INTO ${this.#table} (id, account, created_at, updated_at, body) VALUES (?, ?, ?, ?, ?)`)
        .bind(row.id, actor.account, now, now, row.body),
      auditStatement(db, actor, `${this.#kind}.create`, row.id),
    ]);
    return this.#read(row);
  }

  /** Replaces an object's fields. Of two concurrent changes the later one wins. An archived object does not change. */
  async replace(env: Env, actor: Actor, id: string, body: Body): Promise<Thing | null> {
    const db = await catalog(env);
    await db.batch([
      db
        .prepare(
          `UPDATE ${this.#table} SET body = ?, updated_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL`,
        )
        .bind(JSON.stringify(body), Date.now(), id, actor.account),
      auditStatement(db, actor, `${this.#kind}.update`, id),
    ]);
    return this.get(env, actor.account, id);
  }

  /** Archives an object: it stays readable but cannot be used for anything new. Archiving again changes nothing. */
  async archive(env: Env, actor: Actor, id: string, also: Also = NOTHING): Promise<Thing | null> {
    const db = await catalog(env);
    const now = Date.now();
    await db.batch([
      db
        .prepare(
          `UPDATE ${this.#table} SET archived_at = ?, updated_at = ? WHERE id = ? AND account = ? AND archived_at IS NULL`,
        )
        .bind(now, now, id, actor.account),
      auditStatement(db, actor, `${this.#kind}.archive`, id),
      ...also(db, now),
    ]);
    return this.get(env, actor.account, id);
  }

  /** Deletes an object. False when there was none. */
  async remove(env: Env, actor: Actor, id: string, also: Also = NOTHING): Promise<boolean> {
    const db = await catalog(env);
    const [deleted] = await db.batch([
      db.prepare(`DELETE FROM ${this.#table} WHERE id = ? AND account = ?`).bind(id, actor.account),
      // The cast covers templates, which have no delete action because they are only ever archived.
      auditStatement(db, actor, `${this.#kind}.delete` as Action, id),
      ...also(db, Date.now()),
    ]);
    return (deleted?.meta.changes ?? 0) > 0;
  }

  /** A page of an account's objects, newest first. */
  async list(env: Env, account: string, includeArchived: boolean, request: PageRequest): Promise<Page<Thing>> {
    const where = ["account = ?", ...(includeArchived ? [] : ["archived_at IS NULL"])];
    const query = { select: this.#select, where, values: [account], key: "id" };
    return readPage(
      await catalog(env),
      query,
      request,
      (row: Row) => row.id,
      (row) => this.#read(row),
    );
  }

  #read({ id, created_at, updated_at, archived_at, body }: Row): Thing {
    const stamp = {
      id,
      created_at: toIso(created_at),
      updated_at: toIso(updated_at),
      archived_at: toIso(archived_at),
    };
    return this.#toThing(stamp, JSON.parse(body) as Body);
  }
}

import type { Mount } from "@gantry/protocol/mount.ts";
import { numberOf, textOf } from "../../storage/sql.ts";
import type { Row, Sql } from "../../storage/sql.ts";
import type { ResourceChange, SessionResource } from "../../resources/session-resource.ts";

/** Files and repositories of the session. Each run names them to the runner, which mounts what is missing. */
export class Resources {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  add({ mount, secret, createdAt, updatedAt }: SessionResource): void {
    this.#sql.exec(
      "INSERT INTO resources (id, mount, secret, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
      mount.id,
      JSON.stringify(mount),
      secret,
      createdAt,
      updatedAt,
    );
  }

  /** In the order in which they were added. */
  list(): SessionResource[] {
    return this.#sql.exec("SELECT * FROM resources ORDER BY rowid").toArray().map(toResource);
  }

  get(id: string): SessionResource | null {
    const row = this.#sql.exec("SELECT * FROM resources WHERE id = ?", id).toArray()[0];
    return row ? toResource(row) : null;
  }

  /** Without their credentials. */
  shown(): Omit<SessionResource, "secret">[] {
    return this.list().map(({ secret: _secret, ...resource }) => resource);
  }

  /** Whether a file is mounted. */
  holds(fileId: string): boolean {
    return this.list().some(({ mount }) => mount.type === "file" && mount.fileId === fileId);
  }

  /** False: no such resource. */
  change(change: ResourceChange, now: number): boolean {
    if (change.type === "add") {
      this.add(change.resource);
      return true;
    }
    if (!this.get(change.id)) return false;
    if (change.type === "remove") this.#sql.exec("DELETE FROM resources WHERE id = ?", change.id);
    else this.#sql.exec("UPDATE resources SET secret = ?, updated_at = ? WHERE id = ?", change.secret, now, change.id);
    return true;
  }
}

function toResource(row: Row): SessionResource {
  return {
    mount: JSON.parse(textOf(row, "mount")) as Mount,
    secret: textOf(row, "secret") || null,
    createdAt: numberOf(row, "created_at"),
    updatedAt: numberOf(row, "updated_at"),
  };
}

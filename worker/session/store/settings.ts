import type { ContainerStart } from "../../sandbox/container.ts";
import { textOf } from "../../storage/sql.ts";
import type { Sql } from "../../storage/sql.ts";
import type { SessionSetup } from "../../catalog/session-setup.ts";
import type { PendingSave, SnapshotMemory } from "../../snapshots/pending-save.ts";

/** Small values of a session, by name, as JSON. */
export class Settings implements SnapshotMemory {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  setup(): SessionSetup | null {
    return this.#read("setup") as SessionSetup | null;
  }

  saveSetup(setup: SessionSetup): void {
    this.#write("setup", setup);
    // Read with every event, so it has a row of its own.
    if (setup.selfHosted) this.#write("self_hosted", setup.environmentId);
  }

  /** Id of the self-hosted environment that carries out the session's tools; null: none. */
  selfHostedIn(): string | null {
    return this.#read("self_hosted") as string | null;
  }

  /** The run for which a worker was last notified. */
  toldWork(): string | null {
    return this.#read("told_work") as string | null;
  }

  saveToldWork(runId: string): void {
    this.#write("told_work", runId);
  }

  /** Number of prompts at the time of the last warm-up; null: never. */
  warmedAfter(): number | null {
    return this.#read("warmed_after") as number | null;
  }

  saveWarmedAfter(runs: number): void {
    this.#write("warmed_after", runs);
  }

  /** Whether the index was last told that this session waits for an answer. */
  toldWaiting(): boolean {
    return this.#read("told_waiting") === true;
  }

  saveToldWaiting(waits: boolean): void {
    this.#write("told_waiting", waits);
  }

  /** The newest start of the session's container; null without one. */
  containerStart(): ContainerStart | null {
    return this.#read("container_start") as ContainerStart | null;
  }

  saveContainerStart(start: ContainerStart): void {
    this.#write("container_start", start);
  }

  /** Name of the sandbox's folder that holds the session's files now; null while it is not known. */
  folder(): string | null {
    return this.#read("folder") as string | null;
  }

  saveFolder(folder: string): void {
    this.#write("folder", folder);
  }

  /** The save that is still to be made; null when there is none. */
  pendingSave(): PendingSave | null {
    return this.#read("pending_save") as PendingSave | null;
  }

  savePendingSave(save: PendingSave | null): void {
    this.#write("pending_save", save);
  }

  /** Number of packs at which garbage is collected next. */
  tidyAtPacks(): number {
    return (this.#read("tidy_at_packs") as number | null) ?? 32;
  }

  saveTidyAtPacks(packs: number): void {
    this.#write("tidy_at_packs", packs);
  }

  #read(key: string): unknown {
    const value = textOf(this.#sql.exec("SELECT value FROM settings WHERE key = ?", key).toArray()[0], "value");
    return value === "" ? null : JSON.parse(value);
  }

  #write(key: string, value: unknown): void {
    this.#sql.exec("INSERT OR REPLACE INTO settings (key, value) VALUES (?, ?)", key, JSON.stringify(value));
  }
}

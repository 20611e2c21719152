import type { AgentSetup, PermissionMode } from "@gantry/protocol/link.ts";
import type { ContainerStart } from "../../sandbox/container.ts";
import { textOf } from "../sql.ts";
import type { Sql } from "../sql.ts";

/** How a session was made: what its runs have in common, and what the API tells of it. */
export interface SessionSetup {
  /** The agent as it was at creation, in the API's shape, as JSON; null for a session without one. */
  readonly agent: string | null;
  readonly environmentId: string | null;
  /** Vaults whose credentials open the agent's MCP servers; absent: none. */
  readonly vaultIds?: readonly string[];
  readonly title: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** What the engine gets of the agent. */
  readonly engine: {
    readonly model?: string;
    readonly system?: string;
    readonly effort?: "low" | "medium" | "high" | "xhigh" | "max";
    readonly tools?: AgentSetup;
    /** For prompts that come without one. */
    readonly permissionMode?: PermissionMode;
  };
  /** Its environment is self-hosted: a worker carries out the tools (`worker/self-hosted/work.ts`). */
  readonly selfHosted?: boolean;
  /** Milliseconds without a prompt after which its engine is ended; the installation's own where it is not said. */
  readonly sleepAfterMs?: number;
  /** Milliseconds since 1970; null while it is not archived. */
  readonly archivedAt: number | null;
  readonly updatedAt: number;
}

/** A session that was made by a prompt alone. */
export const NO_SETUP: SessionSetup = {
  agent: null,
  environmentId: null,
  title: null,
  metadata: {},
  engine: {},
  archivedAt: null,
  updatedAt: 0,
};
/** A save that is to be made, also after a crash. */
export interface PendingSave {
  /** The run that ended, or that is in progress; null: files were changed from outside. */
  readonly runId: string | null;
  /** Rises when it is asked for again: what was being saved before may lack what is new. */
  readonly mark: number;
  /** Tries so far. */
  readonly attempts: number;
}

/** Small values of a session, by name, as JSON. */
export class Settings {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  setup(): SessionSetup | null {
    return this.#read("setup") as SessionSetup | null;
  }

  saveSetup(setup: SessionSetup): void {
    this.#write("setup", setup);
    // Asked with every event, so it has a row of its own.
    if (setup.selfHosted) this.#write("self_hosted", setup.environmentId);
  }

  /** The self-hosted environment that carries out its tools; null: it has none. */
  selfHostedIn(): string | null {
    return this.#read("self_hosted") as string | null;
  }

  /** The run for which there last was work for a worker. */
  toldWork(): string | null {
    return this.#read("told_work") as string | null;
  }

  saveToldWork(runId: string): void {
    this.#write("told_work", runId);
  }

  /** How many prompts there had been when the engine was last started ahead of one; null: never. */
  warmedAfter(): number | null {
    return this.#read("warmed_after") as number | null;
  }

  saveWarmedAfter(runs: number): void {
    this.#write("warmed_after", runs);
  }

  /** Whether the index of sessions was last told that this one waits for somebody. */
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

  /** The save that is to be made; null when there is none. */
  pendingSave(): PendingSave | null {
    return this.#read("pending_save") as PendingSave | null;
  }

  savePendingSave(save: PendingSave | null): void {
    this.#write("pending_save", save);
  }

  /** How many packs of snapshots there are to be before garbage is looked for. */
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

/** A save that must still be made. It survives a crash. */
export interface PendingSave {
  /** The run that ended or is in progress; null: files were changed through the API. */
  readonly runId: string | null;
  /** Rises with each request for a save: a save in progress may lack what has changed since. */
  readonly mark: number;
  /** Failed attempts so far. */
  readonly attempts: number;
}

/** What snapshots remember between calls. The session stores it with its other small values. */
export interface SnapshotMemory {
  /** Name of the sandbox folder that holds the session's files now; null while unknown. */
  folder(): string | null;
  saveFolder(folder: string): void;
  /** The save that must still be made; null when there is none. */
  pendingSave(): PendingSave | null;
  savePendingSave(save: PendingSave | null): void;
  /** Garbage is collected again when the session has this many packs. */
  tidyAtPacks(): number;
  saveTidyAtPacks(packs: number): void;
}

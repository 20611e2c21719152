/** A save that is to be made, also after a crash. */
export interface PendingSave {
  /** The run that ended, or that is in progress; null: files were changed from outside. */
  readonly runId: string | null;
  /** Rises when it is asked for again: what was being saved before may lack what is new. */
  readonly mark: number;
  /** Tries so far. */
  readonly attempts: number;
}

/** What the snapshots of a session remember between calls. The session stores it with its other small values. */
export interface SnapshotMemory {
  /** Name of the sandbox's folder that holds the session's files now; null while it is not known. */
  folder(): string | null;
  saveFolder(folder: string): void;
  /** The save that is still to be made; null when there is none. */
  pendingSave(): PendingSave | null;
  savePendingSave(save: PendingSave | null): void;
  /** Number of packs at which garbage is collected next. */
  tidyAtPacks(): number;
  saveTidyAtPacks(packs: number): void;
}

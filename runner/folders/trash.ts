import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, guard } from "../base/guarded.ts";
import { moveToTrash, removeMoved } from "./remove-folder.ts";

/** Folder, below that of all sessions, for what is being removed. */
const TRASH = ".trash";

/** How long a caller waits for the removal itself. The folder is out of use before that, and will certainly be removed. */
const WAIT_MS = 5_000;

/** Time until a failed removal is tried again. */
const RETRY_MS = 60_000;

/** Removes folders of sessions, and does not forget: what could not be removed is tried again, also after a restart. */
export class Trash {
  readonly #folder: string;
  readonly #log: (entry: Record<string, unknown>) => void;
  #work: Promise<void> = Promise.resolve();
  #retry: NodeJS.Timeout | null = null;

  /** @param root the folder of all sessions' folders. */
  constructor(root: string, log: (entry: Record<string, unknown>) => void) {
    this.#folder = join(root, TRASH);
    this.#log = log;
  }

  /** Removes what an earlier runner left. Never rejects. */
  sweep(): void {
    guard("trash", async () => {
      const names = await readdir(this.#folder).catch(() => []);
      await Promise.all(names.map((name) => this.#remove(join(this.#folder, name))));
    });
  }

  /**
   * Takes a folder out of use and begins to remove it. Resolves to true when it is removed, to false when that takes longer
   * than five seconds. Rejects when the folder is still in its place.
   */
  async take(path: string): Promise<boolean> {
    const moved = await moveToTrash(path, this.#folder);
    if (moved === null) return true;
    let timer: NodeJS.Timeout | null = null;
    const late = new Promise<boolean>((resolve) => (timer = after("trash", WAIT_MS, () => resolve(false))));
    const isRemoved = await Promise.race([this.#remove(moved), late]);
    if (timer) clearTimeout(timer);
    return isRemoved;
  }

  /** One at a time. Never rejects. */
  #remove(path: string): Promise<boolean> {
    const removed = this.#work
      .then(() => removeMoved(path, this.#folder))
      .then(
        () => true,
        (error: unknown) => {
          if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
          this.#log({ event: "folder_not_removed", error: String(error) });
          this.#retryLater();
          return false;
        },
      );
    this.#work = removed.then(() => {});
    return removed;
  }

  #retryLater(): void {
    if (this.#retry !== null) return;
    this.#retry = after("trash", RETRY_MS, () => {
      this.#retry = null;
      this.sweep();
    });
    this.#retry.unref();
  }
}

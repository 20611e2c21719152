import { existsSync, watch } from "node:fs";
import { join } from "node:path";

/** Blobs of one save come together. */
const ONE_SAVE_MS = 300;
const LOOK_MS = 200;

/** Looks at the state folder for what no client is told while it goes on: a save that writes, a sandbox that is filled. */
export class Watch {
  /** Folders of sessions that were taken away with all that was in them. */
  readonly lost = new Set<string>();
  readonly #state: string;
  readonly #onPoint: (point: "snapshot" | "restore") => void;
  readonly #watching = new Map<string, () => void>();
  readonly #timer: NodeJS.Timeout;
  #savedAt = 0;

  constructor(state: string, onPoint: (point: "snapshot" | "restore") => void) {
    this.#state = state;
    this.#onPoint = onPoint;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#look();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const end of this.#watching.values()) end();
  }

  /** The folders come with their first use. */
  #look(): void {
    this.#follow(join(this.#state, "storage", "r2", "gantry-files", "blobs"), () => {
      if (Date.now() - this.#savedAt < ONE_SAVE_MS) return;
      this.#savedAt = Date.now();
      this.#onPoint("snapshot");
    });
    this.#follow(join(this.#state, "sandboxes"), (name) => {
      if (this.lost.delete(name)) this.#onPoint("restore");
    });
  }

  #follow(folder: string, onName: (name: string) => void): void {
    if (this.#watching.has(folder) || !existsSync(folder)) return;
    const watcher = watch(folder, (_what, name) => {
      if (name !== null && existsSync(join(folder, name))) onName(name);
    });
    watcher.on("error", () => this.#watching.delete(folder));
    this.#watching.set(folder, () => watcher.close());
  }
}

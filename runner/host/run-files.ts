import type { RunnerEvent } from "@gantry/protocol/event.ts";
import type { Report } from "@gantry/protocol/link.ts";
import type { Restored } from "@gantry/protocol/snapshot.ts";
import type { SessionFolders } from "../engine/environment.ts";
import type { ActiveRun, HostSettings } from "./host-settings.ts";
import { collectOutputs, hasOutputs } from "../mounts/outputs.ts";
import { prepare } from "../mounts/prepare.ts";
import { ResourceUnavailable } from "../mounts/unavailable.ts";
import { WorkerClient } from "../mounts/worker-client.ts";
import { placeOf } from "../snapshot/place.ts";
import { SessionFiles } from "../snapshot/session-files.ts";
import { isWrittenDown } from "../engine/resume.ts";
import { openFolders } from "../folders/session-folders.ts";

/** Who hears of a run's files, and of the session's. */
interface Listener {
  readonly tell: (run: ActiveRun, event: RunnerEvent) => void;
  readonly send: (report: Report) => void;
}

/** The folders of a session, and what goes into them and out of them with each run. */
export class RunFiles {
  readonly #settings: HostSettings;
  readonly #marker: string;
  readonly #listener: Listener;
  /** The same folders for those who save them. */
  readonly saved: SessionFiles;
  #folders: SessionFolders | null = null;

  constructor(settings: HostSettings, marker: string, listener: Listener) {
    this.#settings = settings;
    this.#marker = marker;
    this.#listener = listener;
    this.saved = new SessionFiles(placeOf(settings), (piece) => listener.send({ type: "transcript", ...piece }));
  }

  /** Makes the folders, or finds them. */
  async open(): Promise<SessionFolders> {
    if (this.#folders) return this.#folders;
    const { root, sessionId, workspace } = this.#settings;
    this.#folders = await openFolders(root, sessionId, workspace);
    this.#listener.send({ type: "folder", folder: this.saved.folder() ?? "" });
    return this.#folders;
  }

  /** Replaces the folders by saved ones. */
  restore(stream: AsyncIterable<Uint8Array>): Promise<Omit<Restored, "runnerId">> {
    this.#folders = null;
    return this.saved.restore(stream);
  }

  /** What the run needs, in its place, and its prompt as the engine takes it. Throws `ResourceUnavailable`. */
  async prepare(run: ActiveRun): ReturnType<typeof prepare> {
    await this.saved.beforeRun();
    const prepared = prepare({
      command: run.command,
      folders: await this.open(),
      path: this.#settings.path,
      marker: this.#marker,
      signal: run.over.signal,
      onEvent: (event) => this.#listener.tell(run, event),
    });
    return prepared.catch((error: unknown) => {
      if (error instanceof ResourceUnavailable) this.#listener.tell(run, { type: "session.error", error: error.error });
      throw error;
    });
  }

  /**
   * Resolves when a call that waits for somebody is in the transcript, and the session has been sent that: whoever goes
   * on with the run, here or elsewhere, finds it there. False when it does not come.
   */
  async keeps(run: ActiveRun, call: string): Promise<boolean> {
    const isThere = await isWrittenDown(await this.open(), run.command, call);
    this.saved.mirror.look();
    return isThere;
  }

  /** Hands over what the agent left for the user; null when it has left nothing. Never rejects. */
  handOver(run: ActiveRun): Promise<void> | null {
    if (run.state !== "prompted" || this.#folders === null || !hasOutputs(this.#folders)) return null;
    const { log, sessionId } = this.#settings;
    return collectOutputs(
      this.#folders,
      new WorkerClient(run.command.models),
      (event) => this.#listener.tell(run, event),
      (problem) => log({ event: "output_kept", sessionId, problem }),
    );
  }
}

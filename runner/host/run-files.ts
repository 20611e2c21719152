import type { RunnerEvent } from "@gantry/protocol/event.ts";
import type { Report } from "@gantry/protocol/link.ts";
import type { Restored } from "@gantry/protocol/snapshot.ts";
import type { SessionFolders } from "../folders/session-folders.ts";
import type { ActiveRun } from "./active-run.ts";
import type { HostSettings } from "./host-settings.ts";
import { collectOutputs, hasOutputs } from "../mounts/outputs.ts";
import { prepare } from "../mounts/prepare.ts";
import { ResourceUnavailable } from "../mounts/unavailable.ts";
import { WorkerClient } from "../mounts/worker-client.ts";
import { openFolders, rootsOf } from "../folders/session-folders.ts";
import { SessionFiles } from "../snapshot/session-files.ts";
import { isInTranscript } from "../engine/resume.ts";

/** Receives events of a run and reports about the session's files. */
interface Listener {
  readonly onEvent: (run: ActiveRun, event: RunnerEvent) => void;
  readonly onReport: (report: Report) => void;
}

/** The folders of a session: what each run brings into them and takes out of them. */
export class RunFiles {
  readonly #settings: HostSettings;
  readonly #marker: string;
  readonly #listener: Listener;
  /** The same folders, as snapshots see them. */
  readonly saved: SessionFiles;
  #folders: SessionFolders | null = null;

  constructor(settings: HostSettings, marker: string, listener: Listener) {
    this.#settings = settings;
    this.#marker = marker;
    this.#listener = listener;
    this.saved = new SessionFiles(rootsOf(settings), (piece) => listener.onReport({ type: "transcript", ...piece }));
  }

  /** Creates the folders if they are missing. Reports the folder's name to the session the first time. */
  async open(): Promise<SessionFolders> {
    if (this.#folders) return this.#folders;
    const { root, sessionId, workspace } = this.#settings;
    this.#folders = await openFolders(root, sessionId, workspace);
    this.#listener.onReport({ type: "folder", folder: this.saved.folder() ?? "" });
    return this.#folders;
  }

  /** Replaces the folders' contents by saved ones. Throws `Refused`. */
  restore(stream: AsyncIterable<Uint8Array>): Promise<Omit<Restored, "runnerId">> {
    this.#folders = null;
    return this.saved.restore(stream);
  }

  /** Mounts what the run needs, and converts its prompt for the engine. Throws `ResourceUnavailable`. */
  async prepare(run: ActiveRun): ReturnType<typeof prepare> {
    await this.saved.beforeRun();
    const prepared = prepare({
      command: run.command,
      folders: await this.open(),
      path: this.#settings.path,
      marker: this.#marker,
      signal: run.over.signal,
      onEvent: (event) => this.#listener.onEvent(run, event),
    });
    return prepared.catch((error: unknown) => {
      if (error instanceof ResourceUnavailable)
        this.#listener.onEvent(run, { type: "session.error", error: error.error });
      throw error;
    });
  }

  /**
   * Resolves to true when a waiting call is in the transcript and that part of the transcript was sent to the session, so that
   * any engine can continue from it, here or on another machine. Resolves to false when the call does not appear.
   */
  async keeps(run: ActiveRun, call: string): Promise<boolean> {
    const isThere = await isInTranscript(await this.open(), run.command, call);
    this.saved.mirror.catchUp();
    return isThere;
  }

  /** Uploads what the agent left for the user. Returns null when there is nothing. Never rejects. */
  handOver(run: ActiveRun): Promise<void> | null {
    if (run.state !== "prompted" || this.#folders === null || !hasOutputs(this.#folders)) return null;
    const { log, sessionId } = this.#settings;
    return collectOutputs(
      this.#folders,
      new WorkerClient(run.command.models),
      (event) => this.#listener.onEvent(run, event),
      (problem) => log({ event: "output_kept", sessionId, problem }),
    );
  }
}

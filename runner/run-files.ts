import type { RunnerEvent } from "@gantry/protocol/event.ts";
import type { SessionFolders } from "./environment.ts";
import type { ActiveRun, HostSettings } from "./host-settings.ts";
import { collectOutputs, hasOutputs } from "./mounts/outputs.ts";
import { prepare } from "./mounts/prepare.ts";
import { ResourceUnavailable } from "./mounts/unavailable.ts";
import { WorkerClient } from "./mounts/worker-client.ts";
import { openFolders } from "./workspace.ts";

/** The folders of a session, and what goes into them and out of them with each run. */
export class RunFiles {
  readonly #settings: HostSettings;
  readonly #marker: string;
  readonly #tell: (run: ActiveRun, event: RunnerEvent) => void;
  #folders: SessionFolders | null = null;

  /** @param tell takes what there is to say about a run's files. */
  constructor(settings: HostSettings, marker: string, tell: (run: ActiveRun, event: RunnerEvent) => void) {
    this.#settings = settings;
    this.#marker = marker;
    this.#tell = tell;
  }

  /** Makes the folders, or finds them. */
  async open(): Promise<SessionFolders> {
    const { root, sessionId, workspace } = this.#settings;
    return (this.#folders ??= await openFolders(root, sessionId, workspace));
  }

  /** What the run needs, in its place, and its prompt as the engine takes it. Throws `ResourceUnavailable`. */
  async prepare(run: ActiveRun): ReturnType<typeof prepare> {
    const prepared = prepare({
      command: run.command,
      folders: await this.open(),
      path: this.#settings.path,
      marker: this.#marker,
      signal: run.over.signal,
      onEvent: (event) => this.#tell(run, event),
    });
    return prepared.catch((error: unknown) => {
      if (error instanceof ResourceUnavailable) this.#tell(run, { type: "session.error", error: error.error });
      throw error;
    });
  }

  /** Hands over what the agent left for the user; null when it has left nothing. Never rejects. */
  handOver(run: ActiveRun): Promise<void> | null {
    if (run.state !== "prompted" || this.#folders === null || !hasOutputs(this.#folders)) return null;
    const { log, sessionId } = this.#settings;
    return collectOutputs(
      this.#folders,
      new WorkerClient(run.command.models),
      (event) => this.#tell(run, event),
      (problem) => log({ event: "output_kept", sessionId, problem }),
    );
  }
}

import type { RunnerEvent } from "@gantry/protocol/event.ts";
import type { RunStart } from "@gantry/protocol/link.ts";
import { hasTranscript } from "../folders/session-folders.ts";
import type { SessionFolders } from "../folders/session-folders.ts";
import { describeMounts, ensureMounts } from "./mounts.ts";
import { toEnginePrompt } from "./prompt-files.ts";
import type { EngineBlock } from "./prompt-files.ts";
import { WorkerClient } from "./worker-client.ts";

/**
 * Prepares a run before its prompt goes to the engine: mounts its resources, loads the files of its prompt, and composes what
 * the model is told besides the prompt (`context`). Throws `ResourceUnavailable`.
 */
export async function prepare(args: {
  readonly command: RunStart;
  readonly folders: SessionFolders;
  /** PATH of git. */
  readonly path: string;
  readonly marker: string;
  readonly signal: AbortSignal;
  readonly onEvent: (event: RunnerEvent) => void;
}): Promise<{ prompt: EngineBlock[]; context: string | null }> {
  const { command, folders, signal } = args;
  const { models, mounts = [], options } = command;
  const worker = new WorkerClient(models);
  const changed = await ensureMounts({ ...args, mounts, models, worker });
  const prompt = await toEnginePrompt(command.prompt, worker, signal);
  // The model hears about its mounts once, and again when they change.
  const isFirst = options.agent !== undefined && !hasTranscript(folders, command.engineSessionId);
  const parts = [
    ...(changed || isFirst ? [describeMounts(mounts, folders)] : []),
    ...(options.context ? [options.context] : []),
  ];
  return { prompt, context: parts.length === 0 ? null : parts.join("\n\n") };
}

import type { RunnerEvent } from "@gantry/protocol/event.ts";
import type { RunStart } from "@gantry/protocol/link.ts";
import type { SessionFolders } from "../engine/environment.ts";
import { hasTranscript } from "../folders/session-folders.ts";
import { describeMounts, ensureMounts } from "./mounts.ts";
import { toEnginePrompt } from "./prompt-files.ts";
import type { EngineBlock } from "./prompt-files.ts";
import { WorkerClient } from "./worker-client.ts";

/**
 * What a run needs before its engine is asked: its mounts in their places, its prompt with the files it shows, and what
 * the model is told beside it. Throws `ResourceUnavailable`.
 */
export async function prepare(args: {
  readonly command: RunStart;
  readonly folders: SessionFolders;
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
  // Told once, and again when something else is there.
  const isFirst = options.agent !== undefined && !hasTranscript(folders, command.engineSessionId);
  const parts = [
    ...(changed || isFirst ? [describeMounts(mounts, folders)] : []),
    ...(options.context ? [options.context] : []),
  ];
  return { prompt, context: parts.length === 0 ? null : parts.join("\n\n") };
}

import { constants, readdirSync } from "node:fs";
import { open, readFile, readdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import { z } from "zod";
import type { SessionFolders } from "../folders/session-folders.ts";
import { OUTPUTS, diskPathOf } from "./mount-paths.ts";
import type { WorkerClient } from "./worker-client.ts";

/** How many files one run may hand over, how large each may be, and how deep they may lie. */
const MAX_FILES = 100;
const MAX_BYTES = 500 * 1024 * 1024;
const MAX_DEPTH = 8;

/** Files that were handed over: size and modification time at that moment, by name. */
const Handed = z.record(z.string(), z.string());

/** Whether the folder of outputs contains anything. A quick check, so that most runs skip `collectOutputs`. */
export function hasOutputs(folders: SessionFolders): boolean {
  try {
    return readdirSync(diskPathOf(folders, OUTPUTS).target).length > 0;
  } catch {
    return false;
  }
}

/** Like `collect`, but never rejects. */
export async function collectOutputs(...args: Parameters<typeof collect>): Promise<void> {
  await collect(...args).catch((error: unknown) => args[3](String(error)));
}

/**
 * Uploads new and changed files from the folder of outputs; each becomes a new file of the session in the Files API. A file
 * that cannot be uploaded now is tried again after the next run.
 */
async function collect(
  folders: SessionFolders,
  worker: WorkerClient,
  onEvent: (event: RunnerEvent) => void,
  onProblem: (problem: string) => void,
): Promise<void> {
  const { target } = diskPathOf(folders, OUTPUTS);
  const record = join(folders.config, "outputs.json");
  const found = await filesIn(target);
  if (found.length === 0) return;
  const handed = await readHanded(record);
  let changed = false;
  for (const path of found.slice(0, MAX_FILES)) {
    const name = relative(target, path);
    // Open before checking, without following links, so that the checked file is the one that is read.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null);
    if (!file) continue;
    try {
      const stat = await file.stat();
      const mark = `${stat.size} ${stat.mtimeMs}`;
      if (!stat.isFile() || stat.nlink > 1 || handed[name] === mark) continue;
      if (stat.size > MAX_BYTES) {
        onProblem(`${name} is larger than ${MAX_BYTES} bytes`);
        continue;
      }
      const contents = file.createReadStream({ autoClose: false, start: 0, end: Math.max(stat.size - 1, 0) });
      const { id, filename, size_bytes } = await worker.upload(name, contents);
      handed[name] = mark;
      changed = true;
      onEvent({ type: "session.output", file_id: id, filename, size_bytes });
    } catch (error) {
      onProblem(`${name}: ${String(error)}`);
    } finally {
      await file.close().catch(() => {});
    }
  }
  if (changed) await writeFile(record, JSON.stringify(handed), { mode: 0o600 });
  if (found.length > MAX_FILES) onProblem(`${found.length} files: a run hands over at most ${MAX_FILES}`);
}

async function filesIn(folder: string, depth = 0): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files: string[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isFile()) files.push(path);
    else if (entry.isDirectory() && depth < MAX_DEPTH) files.push(...(await filesIn(path, depth + 1)));
    if (files.length > 10 * MAX_FILES) break;
  }
  return files;
}

async function readHanded(path: string): Promise<Record<string, string>> {
  try {
    return Handed.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return {};
  }
}

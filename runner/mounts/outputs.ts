import { constants, readdirSync } from "node:fs";
import { open, readFile, readdir, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { RunnerEvent } from "@gantry/protocol/event.ts";
import { z } from "zod";
import type { SessionFolders } from "../engine/environment.ts";
import { OUTPUTS } from "./mounts.ts";
import { placeOf } from "./mount-paths.ts";
import type { WorkerClient } from "./worker-client.ts";

/** What one run may hand over, and the largest file. */
const MAX_FILES = 100;
const MAX_BYTES = 500 * 1024 * 1024;
const MAX_DEPTH = 8;

/** What was handed over: size and time of each file then. */
const Handed = z.record(z.string(), z.string());

/** Whether there is anything to hand over, perhaps. */
export function hasOutputs(folders: SessionFolders): boolean {
  try {
    return readdirSync(placeOf(folders, OUTPUTS).place).length > 0;
  } catch {
    return false;
  }
}

/** As `collect`; never rejects. */
export async function collectOutputs(...args: Parameters<typeof collect>): Promise<void> {
  await collect(...args).catch((error: unknown) => args[3](String(error)));
}

/**
 * Hands over what the agent left in its folder of outputs, new files and changed ones; each is a new file of the session
 * in the Files API. What cannot be handed over now is tried again after the next run.
 */
async function collect(
  folders: SessionFolders,
  worker: WorkerClient,
  onEvent: (event: RunnerEvent) => void,
  onProblem: (problem: string) => void,
): Promise<void> {
  const { place } = placeOf(folders, OUTPUTS);
  const record = join(folders.config, "outputs.json");
  const found = await filesIn(place);
  if (found.length === 0) return;
  const handed = await readHanded(record);
  let changed = false;
  for (const path of found.slice(0, MAX_FILES)) {
    const name = relative(place, path);
    // Opened first and looked at then, links not followed: what is read is what was looked at.
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
  if (found.length > MAX_FILES) onProblem(`${found.length} files: a run hands over ${MAX_FILES}`);
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

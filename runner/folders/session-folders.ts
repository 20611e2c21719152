import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { isId } from "@gantry/protocol/ids.ts";
import type { SessionFolders } from "../engine/environment.ts";

/**
 * Makes (or finds) the folders of a session under `root`; with `workspace`, all of `root` is this session's. Throws on an
 * id that is not one: it becomes a path.
 */
export async function openFolders(root: string, sessionId: string, workspace?: string): Promise<SessionFolders> {
  if (!isId("session", sessionId)) throw new Error(`not a session id: ${JSON.stringify(sessionId)}`);
  const base = workspace === undefined ? join(root, sessionId) : root;
  const folders = {
    workspace: workspace ?? join(base, "workspace"),
    home: join(base, "home"),
    config: join(base, "engine"),
    tmp: join(base, "tmp"),
    mnt: workspace === undefined ? join(base, "mnt") : "/mnt",
  };
  for (const folder of [...Object.values(folders), join(folders.mnt, "session", "outputs")])
    await mkdir(folder, { recursive: true, mode: 0o700 });
  return folders;
}

/**
 * Whether the engine has a conversation of that id to resume. Resuming one that is not there ends the engine, and so
 * does choosing the id of one that is; `continue` would silently start afresh. The transcript lies under the folder
 * of its working directory, whose name we need not know.
 */
export function hasTranscript(folders: SessionFolders, engineSessionId: string): boolean {
  const file = transcriptOf(folders, engineSessionId);
  return file !== null && statSync(file).size > 0;
}

/** Path of the file of that conversation; null when there is none. */
export function transcriptOf(folders: SessionFolders, engineSessionId: string): string | null {
  const projects = join(folders.config, "projects");
  if (!existsSync(projects)) return null;
  const files = readdirSync(projects).map((slug) => join(projects, slug, `${engineSessionId}.jsonl`));
  return files.find((file) => existsSync(file)) ?? null;
}

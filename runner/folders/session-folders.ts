import { existsSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { namesIn } from "./read-bounded.ts";
import { isId } from "@gantry/protocol/ids.ts";

/** How many folders of conversations are searched. The engine makes one. */
const MAX_PROJECTS = 1000;

/** Folders of one session on this machine. */
export interface SessionFolders {
  /** The agent's working directory. */
  readonly workspace: string;
  /** The agent's HOME. It is private, so nothing of the machine's user becomes configuration. */
  readonly home: string;
  /** The engine's own state, including the transcript. */
  readonly config: string;
  readonly tmp: string;
  /** What the API calls `/mnt`: mounted uploads, and the files the agent leaves for the user. */
  readonly mnt: string;
}

/** The two folders that hold everything a session has on disk. */
export interface FolderRoots {
  /** Holds everything except the workspace. */
  readonly base: string;
  readonly workspace: string;
}

/**
 * Where a session's folders are, whether or not they exist. Without `workspace` the session is one of many under `root`;
 * with it, all of `root` belongs to this session.
 */
export function rootsOf({
  root,
  sessionId,
  workspace,
}: {
  root: string;
  sessionId: string;
  workspace?: string | undefined;
}): FolderRoots {
  const base = workspace === undefined ? join(root, sessionId) : root;
  return { base, workspace: workspace ?? join(base, "workspace") };
}

/**
 * Creates the folders of a session if they are missing, and returns their paths. `workspace` works as in `rootsOf`.
 * Throws when `sessionId` is not a session id, because the id becomes part of a path.
 */
export async function openFolders(root: string, sessionId: string, workspace?: string): Promise<SessionFolders> {
  if (!isId("session", sessionId)) throw new Error(`not a session id: ${JSON.stringify(sessionId)}`);
  const roots = rootsOf({ root, sessionId, workspace });
  const folders = {
    workspace: roots.workspace,
    home: join(roots.base, "home"),
    config: join(roots.base, "engine"),
    tmp: join(roots.base, "tmp"),
    mnt: workspace === undefined ? join(roots.base, "mnt") : "/mnt",
  };
  for (const folder of [...Object.values(folders), join(folders.mnt, "session", "outputs")])
    await mkdir(folder, { recursive: true, mode: 0o700 });
  return folders;
}

/**
 * Whether the engine has a conversation with this id to resume. The engine exits when it is asked to resume one that
 * does not exist, or to create one that does; `continue` would silently start a new one.
 */
export function hasTranscript(folders: SessionFolders, engineSessionId: string): boolean {
  const file = transcriptOf(folders, engineSessionId);
  return file !== null && statSync(file).size > 0;
}

/**
 * Path of the transcript file of a conversation, or null when there is none. The engine keeps it in a folder named after
 * its working directory; searching all of them spares us from knowing that name.
 */
export function transcriptOf(folders: SessionFolders, engineSessionId: string): string | null {
  const projects = join(folders.config, "projects");
  if (!existsSync(projects)) return null;
  const files = namesIn(projects, MAX_PROJECTS).map((slug) => join(projects, slug, `${engineSessionId}.jsonl`));
  return files.find((file) => existsSync(file)) ?? null;
}

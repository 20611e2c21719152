import { readFile, rename, rm, writeFile } from "node:fs/promises";
import type { SessionFolders } from "./environment.ts";
import { transcriptOf } from "./workspace.ts";

/**
 * Transcripts of the engine as files: lines of JSON, each naming the one before it. What a full disk or a kill kept
 * the engine from writing is missing for good, and takes more with it than itself: an engine that finds a file and no
 * conversation in it does not start, and one that resumes knows nothing from before a line that is missing.
 */

type Entry = Readonly<Record<string, unknown>>;

/** An entry of a line; an empty one for half a line, or none. */
export function parseEntry(line: string): Entry {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Entry) : {};
  } catch {
    return {};
  }
}

/** Whether an entry belongs to the main conversation. */
export function isMain(entry: Entry): entry is Entry & { readonly uuid: string } {
  return typeof entry["uuid"] === "string" && entry["isSidechain"] !== true;
}

/**
 * Puts the conversation of that id in order before an engine starts. Returns whether there is one to resume; a file
 * without one is removed, because its id could not be used.
 */
export async function mendTranscript(folders: SessionFolders, engineSessionId: string): Promise<boolean> {
  const file = transcriptOf(folders, engineSessionId);
  if (file === null) return false;
  const text = await readFile(file, "utf8");
  const mended = mend(text);
  if (mended === null) {
    await rm(file, { force: true });
    return false;
  }
  if (mended === text) return true;
  const whole = `${file}.tmp`;
  await writeFile(whole, mended, { mode: 0o600 });
  await rename(whole, file);
  return true;
}

/**
 * A transcript in which every entry of the main conversation follows on one that is there. Its length stays the same: the
 * session has a copy up to some byte. Null when nothing was said in it.
 */
export function mend(text: string): string | null {
  const lines = text.split("\n");
  const entries = lines.map(parseEntry);
  const known = new Set(entries.map((entry) => entry["uuid"]));
  if (!entries.some((entry) => isMain(entry) && (entry["type"] === "user" || entry["type"] === "assistant")))
    return null;
  let last: string | null = null;
  const mended = lines.map((line, at) => {
    const entry = entries[at] ?? {};
    if (!isMain(entry)) return line;
    const { uuid, parentUuid } = entry;
    const before = last;
    last = uuid;
    if (typeof parentUuid !== "string" || known.has(parentUuid)) return line;
    const found = `"parentUuid":${JSON.stringify(parentUuid)}`;
    return line.replace(found, `"parentUuid":${JSON.stringify(before)}`.padEnd(found.length));
  });
  return mended.join("\n");
}

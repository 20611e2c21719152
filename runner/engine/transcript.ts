import { readFile, rename, rm, writeFile } from "node:fs/promises";
import type { SessionFolders } from "./environment.ts";
import { transcriptOf } from "../folders/session-folders.ts";

/**
 * Transcripts of the engine as files: lines of JSON, each naming the one before it. What a full disk or a kill kept
 * the engine from writing is missing for good, and takes more with it than itself: an engine that finds a file and no
 * conversation in it does not start, and one that resumes knows nothing from before a line that is missing. Where to go on
 * it marks now and then; a mark at a call that failed leads nowhere, and hides what came after it.
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
 * A transcript in which every entry of the main conversation follows on one that is there, and whose mark of where to go
 * on leads to the newest. Its length stays the same: the session has a copy up to some byte. Null when nothing was said
 * in it.
 */
export function mend(text: string): string | null {
  const lines = text.split("\n");
  const entries = lines.map(parseEntry);
  const newest = entries.findLastIndex(isSaid);
  if (newest < 0) return null;
  const known = new Set(entries.map((entry) => entry["uuid"]));
  const parents = new Map<unknown, unknown>();
  let last: string | null = null;
  for (const [at, entry] of entries.entries()) {
    if (!isMain(entry)) continue;
    const { uuid, parentUuid } = entry;
    const isLost = typeof parentUuid === "string" && !known.has(parentUuid);
    if (isLost) lines[at] = renamed(lines[at] ?? "", "parentUuid", parentUuid, last);
    parents.set(uuid, isLost ? last : parentUuid);
    last = uuid;
  }
  const mark = entries.findLastIndex(
    (entry) => entry["type"] === "last-prompt" && typeof entry["leafUuid"] === "string",
  );
  const { leafUuid, explicit } = entries[mark] ?? {};
  const to = entries[newest]?.["uuid"] as string;
  if (typeof leafUuid === "string" && explicit !== true && mark < newest && !leadsTo(parents, to, leafUuid))
    lines[mark] = renamed(lines[mark] ?? "", "leafUuid", leafUuid, to);
  return lines.join("\n");
}

const isSaid = (entry: Entry): boolean => isMain(entry) && (entry["type"] === "user" || entry["type"] === "assistant");

/** Whether one comes to `to` from an entry by way of those it follows on. */
function leadsTo(parents: ReadonlyMap<unknown, unknown>, from: string, to: string): boolean {
  const seen = new Set<unknown>();
  for (let at: unknown = from; parents.has(at) && !seen.has(at); at = parents.get(at)) {
    if (at === to) return true;
    seen.add(at);
  }
  return false;
}

/** A line with another id in a field, and of the same length: an id is as long as another, and for none there are blanks. */
function renamed(line: string, field: string, from: string, to: string | null): string {
  const found = `"${field}":${JSON.stringify(from)}`;
  return line.replace(found, `"${field}":${JSON.stringify(to)}`.padEnd(found.length));
}

import { readFile, rename, rm, writeFile } from "node:fs/promises";
import type { SessionFolders } from "../folders/session-folders.ts";
import { transcriptOf } from "../folders/session-folders.ts";

/**
 * Repairs the engine's transcripts before an engine reads them. A transcript is a file of JSON lines, each of which names the
 * line before it. When a full disk or a kill keeps the engine from writing a line, more than that line is lost: an engine
 * that finds a file without a conversation does not start, and one that resumes forgets everything before a missing line.
 * Some lines mark where to resume; a mark at a failed API call hides everything that came after it.
 */

type Entry = Readonly<Record<string, unknown>>;

/** Parses a line; an incomplete or empty one becomes an empty entry. */
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
 * Repairs the transcript of a conversation before an engine starts. Returns whether there is a conversation to resume. A file
 * without one is removed, because the engine could not use its id otherwise.
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
 * Returns the transcript repaired: every entry of the main conversation follows an existing one, and the mark of where to
 * resume leads to the newest entry. The length stays the same, because the session may have a copy of its beginning. Returns
 * null when it contains no message of the user or the model.
 */
export function mend(text: string): string | null {
  const lines = text.split("\n");
  const entries = lines.map(parseEntry);
  const newest = entries.findLastIndex(isMessage);
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

const isMessage = (entry: Entry): boolean =>
  isMain(entry) && (entry["type"] === "user" || entry["type"] === "assistant");

/** Whether `to` is the entry `from` or one that it follows, directly or not. */
function leadsTo(parents: ReadonlyMap<unknown, unknown>, from: string, to: string): boolean {
  const seen = new Set<unknown>();
  for (let at: unknown = from; parents.has(at) && !seen.has(at); at = parents.get(at)) {
    if (at === to) return true;
    seen.add(at);
  }
  return false;
}

/** A line with another id in a field. The length stays the same: ids are equally long, and `null` is padded with blanks. */
function renamed(line: string, field: string, from: string, to: string | null): string {
  const found = `"${field}":${JSON.stringify(from)}`;
  return line.replace(found, `"${field}":${JSON.stringify(to)}`.padEnd(found.length));
}

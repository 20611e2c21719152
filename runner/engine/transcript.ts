import { open, rename, rm, writeFile } from "node:fs/promises";
import { constants } from "node:fs";
import { Buffer } from "node:buffer";
import { readTail } from "../folders/read-bounded.ts";
import type { Tail } from "../folders/read-bounded.ts";
import type { SessionFolders } from "../folders/session-folders.ts";
import { transcriptOf } from "../folders/session-folders.ts";

/**
 * Repairs the engine's transcripts before an engine reads them. A transcript is a file of JSON lines, each of which names the
 * line before it. When a full disk or a kill keeps the engine from writing a line, more than that line is lost: an engine
 * that finds a file without a conversation does not start, and one that resumes forgets everything before a missing line.
 * Some lines mark where to resume; a mark at a failed API call hides everything that came after it.
 */

/**
 * How much of a transcript is read: its end. An engine continues from there, and the agent can make the file as long as it
 * likes.
 */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_LINES = 100_000;

/** The end of a transcript, or the whole of it. Rejects when it is not a regular file. */
export function readTranscript(file: string): Promise<Tail> {
  return readTail(file, MAX_BYTES, MAX_LINES);
}

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
  const { text, at } = await readTranscript(file);
  const mended = mend(text, at === 0);
  if (mended === null && at === 0) {
    await rm(file, { force: true });
    return false;
  }
  if (mended === null || mended === text) return true;
  if (at > 0) {
    await overwrite(file, mended, at);
    return true;
  }
  const whole = `${file}.tmp`;
  await writeFile(whole, mended, { mode: 0o600 });
  await rename(whole, file);
  return true;
}

async function overwrite(file: string, text: string, at: number): Promise<void> {
  const handle = await open(file, constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length;)
      done += (await handle.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
  } finally {
    await handle.close();
  }
}

/**
 * Returns the transcript repaired: every entry of the main conversation follows an existing one, and the mark of where to
 * resume leads to the newest entry. The length stays the same, because the session may have a copy of its beginning. Returns
 * null when it contains no message of the user or the model. With `isWhole` false the text is the end of a transcript, and
 * entries that it does not contain count as existing.
 */
export function mend(text: string, isWhole = true): string | null {
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
    const isLost = isWhole && typeof parentUuid === "string" && !known.has(parentUuid);
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

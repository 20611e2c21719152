import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mend, mendTranscript, readTranscript } from "./transcript.ts";
import { openFolders } from "../folders/session-folders.ts";

const id = (n: number): string => `00000000-0000-0000-0000-${String(n).padStart(12, "0")}`;
const entry = (n: number, parent: number | null, fields: object = { type: "user" }): string =>
  JSON.stringify({ parentUuid: parent === null ? null : id(parent), isSidechain: false, ...fields, uuid: id(n) });
const SHAPE = JSON.stringify({ type: "api-request-shape", sessionId: "s" });
const mark = (leaf: number, more: object = {}): string =>
  JSON.stringify({ type: "last-prompt", leafUuid: id(leaf), ...more });
const file = (...lines: string[]): string => `${lines.join("\n")}\n`;

/** Each entry of the main conversation, with the entry it follows. */
const chain = (text: string): unknown[] =>
  text.split("\n").flatMap((line) => {
    try {
      const { uuid, parentUuid, isSidechain } = JSON.parse(line) as Record<string, unknown>;
      return typeof uuid === "string" && isSidechain === false ? [[uuid, parentUuid]] : [];
    } catch {
      return [];
    }
  });

describe("a transcript", () => {
  it.each<[string, string]>([
    ["is whole", file(SHAPE, entry(1, null), entry(2, 1, { type: "assistant" }), entry(3, 2))],
    ["branches", file(entry(1, null), entry(2, 1), entry(3, 1), entry(4, 3))],
    ["was compacted", file(entry(1, null), entry(2, null, { type: "system", logicalParentUuid: id(1) }), entry(3, 2))],
    ["ends in half a line", `${file(entry(1, null))}{"parentUuid":"${id(1)}","isSide`],
    ["has a sub-agent's entry", file(entry(1, null), entry(2, 9, { isSidechain: true, type: "user" }), entry(3, 1))],
  ])("that %s stays as it is", (_name, text) => {
    expect(mend(text)).toBe(text);
  });

  it.each<[string, string]>([
    ["is empty", ""],
    ["has only requests", file(SHAPE)],
    ["has half a prompt", `${SHAPE}\n${entry(1, null).slice(0, 60)}`],
    ["has no prompt", file(entry(1, null, { type: "attachment" }))],
  ])("that %s has no conversation", (_name, text) => {
    expect(mend(text)).toBeNull();
  });

  it.each<[string, string, [number, number | null][]]>([
    [
      "a line in the middle",
      file(entry(1, null), entry(3, 2), entry(4, 3)),
      [
        [1, null],
        [3, 1],
        [4, 3],
      ],
    ],
    [
      "its first line",
      file(entry(2, 1), entry(3, 2)),
      [
        [2, null],
        [3, 2],
      ],
    ],
    [
      "two lines",
      file(entry(1, null), entry(3, 2), entry(5, 4)),
      [
        [1, null],
        [3, 1],
        [5, 3],
      ],
    ],
    [
      "the end of a line, with the next one written right after it",
      `${entry(1, null)}\n${entry(2, 1).slice(0, 40)}${entry(3, 2)}\n${entry(4, 3)}\n`,
      [
        [1, null],
        [4, 1],
      ],
    ],
  ])("that lost %s leads to its beginning again, and keeps its length", (_name, text, expected) => {
    const mended = mend(text) ?? "";
    expect(chain(mended)).toEqual(expected.map(([n, parent]) => [id(n), parent === null ? null : id(parent)]));
    expect(mended.length).toBe(text.length);
    expect(mend(mended)).toBe(mended);
  });
});

describe("the mark of where to resume", () => {
  const error = { type: "system", subtype: "api_error" };
  const said = [entry(1, null), entry(2, 1, { type: "assistant" })];
  it.each<[string, string[], number]>([
    ["at the newest entry stays", [...said, mark(2)], 2],
    ["at an entry that the newest follows stays", [said[0] ?? "", mark(1), said[1] ?? ""], 1],
    ["at a failed call stays while nothing follows it", [...said, entry(3, 2, error), mark(3)], 3],
    ["at a failed call moves to the newest message", [...said, entry(3, 2, error), mark(3), entry(4, 2)], 4],
    ["at a missing entry moves", [...said, mark(9), entry(4, 2)], 4],
    ["that was set explicitly stays", [...said, entry(3, 2, error), mark(3, { explicit: true }), entry(4, 2)], 3],
    ["before another mark does not count", [mark(9), ...said, mark(2), entry(4, 2)], 2],
  ])("%s", (_name, lines, leaf) => {
    const text = file(...lines);
    const mended = mend(text) ?? "";
    const marks = mended.split("\n").filter((line) => line.includes("leafUuid"));
    expect(JSON.parse(marks.at(-1) ?? "")).toMatchObject({ leafUuid: id(leaf) });
    expect(mended.length).toBe(text.length);
    if (lines[0] === mark(9)) expect(marks[0]).toBe(mark(9));
  });
});

describe("the file of a conversation", () => {
  it.each<[string, string | null, boolean, string | null]>([
    ["is not there", null, false, null],
    ["is empty", "", false, null],
    ["has no messages", file(SHAPE), false, null],
    ["is whole", file(entry(1, null)), true, file(entry(1, null))],
    ["lacks a line", file(entry(1, null), entry(3, 2)), true, file(entry(1, null), entry(3, 1))],
  ])("that %s", async (_name, text, resumes, after) => {
    const root = mkdtempSync(join(tmpdir(), "gantry-transcript-"));
    const folders = await openFolders(root, "sesn_01m7z7tz0nzwsv7j2fz1nrrdqj5sajektfja");
    const slug = join(folders.config, "projects", "-workspace");
    mkdirSync(slug, { recursive: true });
    if (text !== null) writeFileSync(join(slug, `${id(7)}.jsonl`), text);
    expect(await mendTranscript(folders, id(7))).toBe(resumes);
    expect(readdirSync(slug)).toEqual(after === null ? [] : [`${id(7)}.jsonl`]);
    if (after !== null) expect(readFileSync(join(slug, `${id(7)}.jsonl`), "utf8")).toBe(after);
  });

  it("sec/H2 is read and repaired at its end when it is long", async () => {
    const root = mkdtempSync(join(tmpdir(), "gantry-transcript-"));
    const folders = await openFolders(root, "sesn_01m7z7tz0nzwsv7j2fz1nrrdqj5sajektfja");
    const slug = join(folders.config, "projects", "-workspace");
    mkdirSync(slug, { recursive: true });
    const path = join(slug, `${id(7)}.jsonl`);
    const end = file(mark(1), entry(2, 1), mark(1), entry(3, 2), entry(4, 3));
    writeFileSync(path, `${entry(1, null)}\n${"{}\n".repeat(20_000_000)}${end}`);
    const before = process.memoryUsage().heapUsed;
    expect(await mendTranscript(folders, id(7))).toBe(true);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(300_000_000);
    const { text, at } = await readTranscript(path);
    expect(at).toBeGreaterThan(0);
    expect(chain(text)).toEqual([2, 3, 4].map((n) => [id(n), id(n - 1)]));
    expect(text).toContain(mark(4));
  });

  it("sec/H2 that is a pipe is not waited for", async () => {
    const root = mkdtempSync(join(tmpdir(), "gantry-transcript-"));
    const folders = await openFolders(root, "sesn_01m7z7tz0nzwsv7j2fz1nrrdqj5sajektfja");
    mkdirSync(join(folders.config, "projects", "x"), { recursive: true });
    spawnSync("mkfifo", [join(folders.config, "projects", "x", `${id(7)}.jsonl`)]);
    await expect(mendTranscript(folders, id(7))).rejects.toThrow("not a file");
  });
});

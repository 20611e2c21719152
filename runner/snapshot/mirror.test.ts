import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Mirror } from "./mirror.ts";
import type { TranscriptPiece } from "./mirror.ts";

describe("the mirror of transcripts", () => {
  let base: string;
  let projects: string;
  let sent: TranscriptPiece[];
  let mirror: Mirror;
  beforeEach(() => {
    base = mkdtempSync(join(tmpdir(), "gantry-mirror-"));
    projects = join(base, "engine/projects");
    mkdirSync(join(projects, "x"), { recursive: true });
    sent = [];
    mirror = new Mirror(base, (piece) => sent.push(piece));
  });
  afterEach(() => rmSync(base, { recursive: true }));
  const bytes = (): number => sent.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);

  it("sends what was written since the last check", () => {
    writeFileSync(join(projects, "x/a.jsonl"), "{}\n");
    mirror.look();
    appendFileSync(join(projects, "x/a.jsonl"), '{"é":1}\n');
    mirror.look();
    mirror.look();
    expect(sent).toEqual([
      { file: "engine/projects/x/a.jsonl", at: 0, data: "{}\n" },
      { file: "engine/projects/x/a.jsonl", at: 3, data: '{"é":1}\n' },
    ]);
  });

  it("sec/H2 survives that the folder of conversations becomes a file", () => {
    renameSync(projects, `${projects}.old`);
    writeFileSync(projects, "");
    mirror.look();
    expect(sent).toEqual([]);
  });

  it("sec/H2 sends no sparse file", () => {
    writeFileSync(join(projects, "x/a.jsonl"), "");
    truncateSync(join(projects, "x/a.jsonl"), 3 * 1024 ** 3);
    mirror.stop();
    expect(sent).toEqual([]);
  });

  it("sec/H2 sends a large file in portions, so that no other session waits", () => {
    writeFileSync(join(projects, "x/a.jsonl"), `${"x".repeat(1023)}\n`.repeat(4096));
    mirror.look();
    expect(bytes()).toBe(1024 * 1024);
    for (let count = 0; count < 5; count++) mirror.look();
    expect(bytes()).toBe(4 * 1024 * 1024);
  });

  it("sec/H2 does not wait for a pipe", () => {
    spawnSync("mkfifo", [join(projects, "x/a.jsonl")]);
    mirror.look();
    expect(sent).toEqual([]);
  });
});

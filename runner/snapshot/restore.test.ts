import { createHash } from "node:crypto";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FRAME, frameOf } from "@gantry/protocol/frames.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { restore } from "./restore.ts";

/** A restore that no session would send is refused, and nothing is written outside the folder. */

let outside: string;
let base: string;
beforeEach(() => {
  outside = mkdtempSync(join(tmpdir(), "gantry-restore-"));
  base = join(outside, "session");
  for (const part of ["workspace", "engine"]) mkdirSync(join(base, part), { recursive: true });
});
afterEach(() => rmSync(outside, { recursive: true }));

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const json = (value: unknown): Uint8Array => frameOf(FRAME.json, text(JSON.stringify(value)));
const data = (value: string): Uint8Array => frameOf(FRAME.data, text(value));
const hashOf = (value: string): string => createHash("sha256").update(value).digest("base64url");
const entry = (value: object): Uint8Array => json({ type: "entry", entry: value });
const file = (p: string, contents = "x", more: object = {}): Uint8Array =>
  entry({
    t: "f",
    p,
    m: 0o644,
    n: 1_000_000,
    s: contents.length,
    c: contents === "" ? [] : [hashOf(contents)],
    ...more,
  });
const folder = (p: string, m = 0o755): Uint8Array => entry({ t: "d", p, m, n: 0 });
const link = (p: string, to: string): Uint8Array => entry({ t: "l", p, n: 0, to });
const transcript = (name: string, size: number, at = 0): Uint8Array =>
  json({ type: "transcript", file: name, at, size });
const end = (entries: number): Uint8Array => json({ type: "end", entries });

async function* stream(frames: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* frames;
}
const restored = (...frames: Uint8Array[]): ReturnType<typeof restore> =>
  restore({ base, workspace: join(base, "workspace") }, stream(frames));

describe("a restore", () => {
  it("creates what the stream holds: links last, folders with their modes", async () => {
    const done = await restored(
      folder("workspace/sub", 0o500),
      file("workspace/sub/a", "hello"),
      data("hello"),
      file("workspace/empty", ""),
      link("workspace/out", "/etc/hostname"),
      end(4),
    );
    expect(done).toMatchObject({ files: 2, bytes: 5, gaps: [] });
    expect(readFileSync(join(base, "workspace/sub/a"), "utf8")).toBe("hello");
    expect(lstatSync(join(base, "workspace/sub")).mode & 0o777).toBe(0o500);
    expect(readlinkSync(join(base, "workspace/out"))).toBe("/etc/hostname");
  });

  it("reads a file in the pieces that its entry names", async () => {
    const [one, two] = ["1".repeat(65_536), "2".repeat(10)];
    const path = "engine/projects/p/talk.jsonl";
    const cut = { c: [hashOf(one), hashOf(two)], z: 65_536 };
    const folders = [folder("engine/projects"), folder("engine/projects/p")];
    await restored(...folders, file(path, one + two, cut), data(one), data(two), end(3));
    expect(readFileSync(join(base, path), "utf8")).toBe(one + two);
    await expect(restored(file("workspace/a", one + two, { ...cut, z: 1 }))).rejects.toThrow("invalid_value");
  });

  it("appends to a transcript what is missing, and nothing after a gap", async () => {
    const [known, torn] = ["engine/projects/p/known.jsonl", "engine/projects/p/torn.jsonl"];
    const done = await restored(
      folder("engine/projects"),
      folder("engine/projects/p"),
      file(known, "one\n"),
      data("one\n"),
      end(3),
    ).then(() => restored(transcript(known, 8), data("one\ntwo\n"), transcript(torn, 5, 9), data("late\n"), end(0)));
    expect(done).toMatchObject({ transcriptLines: 1, gaps: [torn] });
    expect(readFileSync(join(base, known), "utf8")).toBe("one\ntwo\n");
  });

  it.each<[string, () => Uint8Array[]]>([
    ["ends early", () => [file("workspace/a"), data("x")]],
    ["ends in the middle of a frame", () => [file("workspace/a"), data("x").subarray(0, 3)]],
    ["ends in the middle of a file", () => [file("workspace/a"), end(1)]],
    ["has fewer entries than it announced", () => [file("workspace/a"), data("x"), end(2)]],
    ["continues after its end", () => [end(0), file("workspace/a"), data("x")]],
    ["has other contents", () => [file("workspace/a"), data("y"), end(1)]],
    ["has more contents", () => [file("workspace/a"), data("xx"), end(1)]],
    ["has contents without a file", () => [data("x"), end(0)]],
    ["names a file twice", () => [file("workspace/a"), data("x"), file("workspace/a"), data("x"), end(2)]],
    ["names a folder twice", () => [folder("workspace/a"), folder("workspace/a"), end(2)]],
    ["uses a file as a folder", () => [file("workspace/a"), data("x"), file("workspace/a/b"), data("x"), end(2)]],
    ["writes through a link", () => [link("workspace/a", "../.."), file("workspace/a/b"), data("x"), end(2)]],
    ["writes over a link", () => [link("workspace/a", "../../b"), file("workspace/a"), data("x"), end(2)]],
    ["leads out", () => [file("workspace/../../b"), data("x"), end(1)]],
    ["leads to the root", () => [file("/b"), data("x"), end(1)]],
    ["leads to a folder that is not saved", () => [file("home/.bashrc"), data("x"), end(1)]],
    ["leads to the engine's settings", () => [file("engine/settings.json"), data("x"), end(1)]],
    ["has a NUL in a name", () => [file("workspace/a\0b"), data("x"), end(1)]],
    ["has an empty path segment", () => [file("workspace//b"), data("x"), end(1)]],
    ["has a name that is too long", () => [file(`workspace/${"n".repeat(300)}`), data("x"), end(1)]],
    ["has a set-uid bit", () => [file("workspace/a", "x", { m: 0o4755 }), data("x"), end(1)]],
    ["has a device", () => [entry({ t: "b", p: "workspace/a", m: 0o644, n: 0 }), end(1)]],
    ["has a size without its pieces", () => [file("workspace/a", "x", { s: 2 ** 40 }), data("x"), end(1)]],
    ["has a transcript elsewhere", () => [transcript("workspace/a.jsonl", 1), data("x"), end(0)]],
    [
      "has more of a transcript than it announced",
      () => [transcript("engine/projects/p/a.jsonl", 1), data("xx"), end(0)],
    ],
    ["is not JSON", () => [frameOf(FRAME.json, text("{")), end(0)]],
    ["has a frame of an unknown kind", () => [frameOf(99 as never, text("x")), end(0)]],
    ["has a frame without end", () => [new Uint8Array([FRAME.data, 0xff, 0xff, 0xff, 0xff]), end(0)]],
  ])("that %s is refused, and writes nothing outside", async (_name, frames) => {
    await expect(restored(...frames())).rejects.toMatchObject({
      code: expect.stringMatching(/^(bad_restore|failed)$/),
    });
    expect(readdirSync(outside)).toEqual(["session"]);
    expect(readdirSync(base).toSorted()).toEqual(["engine", "workspace"]);
    expect(existsSync(join(base, "engine", "settings.json"))).toBe(false);
  });
});

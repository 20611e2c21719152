import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { emptyFolder, removeFolder } from "./remove-folder.ts";
import { Trash } from "./trash.ts";

describe("the removal of a session's folder", () => {
  let root: string;
  let folder: string;
  let trash: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "gantry-remove-"));
    folder = join(root, "session");
    trash = join(root, ".trash");
    mkdirSync(folder);
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  /** Forty folders of two hundred letters in each other: longer than a path can be. */
  const deep = (): void => {
    for (let count = 0; count < 40; count++) {
      const above = join(root, "above");
      mkdirSync(above);
      renameSync(folder, join(above, "x".repeat(200)));
      renameSync(above, folder);
    }
  };

  it("sec/H2 removes folders that are nested deeper than a path is long", async () => {
    writeFileSync(join(folder, "file"), "");
    deep();
    await removeFolder(folder, trash);
    expect(readdirSync(root)).toEqual([".trash"]);
    expect(readdirSync(trash)).toEqual([]);
  });

  it("sec/H2 removes folders that deny access, and follows no link", async () => {
    mkdirSync(join(root, "outside"));
    writeFileSync(join(root, "outside/canary"), "kept");
    mkdirSync(join(folder, "closed/inner"), { recursive: true });
    writeFileSync(join(folder, "closed/inner/file"), "");
    symlinkSync(join(root, "outside"), join(folder, "link"));
    symlinkSync(join(root, "outside"), join(folder, "closed/link"));
    chmodSync(join(folder, "closed/inner"), 0);
    chmodSync(join(folder, "closed"), 0o500);
    await removeFolder(folder, trash);
    expect(readdirSync(trash)).toEqual([]);
    expect(existsSync(folder)).toBe(false);
    expect(readFileSync(join(root, "outside/canary"), "utf8")).toBe("kept");
  });

  it("empties a folder and keeps it", async () => {
    mkdirSync(join(folder, "a/b"), { recursive: true });
    writeFileSync(join(folder, ".file"), "");
    await emptyFolder(folder);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("sec/H2 continues after a restart with what lies in the trash", async () => {
    deep();
    mkdirSync(trash);
    renameSync(folder, join(trash, "left"));
    new Trash(root, () => {}).sweep();
    for (let count = 0; count < 100 && readdirSync(trash).length > 0; count++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    expect(readdirSync(trash)).toEqual([]);
  });

  it("sec/H2 tells the truth when the folder stays", async () => {
    writeFileSync(trash, "in the way");
    await expect(new Trash(root, () => {}).take(folder)).rejects.toThrow();
    expect(existsSync(folder)).toBe(true);
    rmSync(trash);
    expect(await new Trash(root, () => {}).take(folder)).toBe(true);
    expect(existsSync(folder)).toBe(false);
  });
});

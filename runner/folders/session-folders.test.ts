import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@gantry/protocol/ids.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { hasTranscript, openFolders } from "./session-folders.ts";

let root: string;
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), "gantry-workspace-"))));
afterEach(() => rmSync(root, { recursive: true }));

describe("the folders of a session", () => {
  it("are created below the root for this user alone, and found again", async () => {
    const id = newId("session");
    const folders = await openFolders(root, id);
    const base = join(root, id);
    expect(folders).toEqual({
      workspace: join(base, "workspace"),
      home: join(base, "home"),
      config: join(base, "engine"),
      tmp: join(base, "tmp"),
      mnt: join(base, "mnt"),
    });
    for (const folder of [base, ...Object.values(folders)]) expect(statSync(folder).mode & 0o777).toBe(0o700);
    writeFileSync(join(folders.workspace, "kept.txt"), "kept");
    expect(await openFolders(root, id)).toEqual(folders);
    expect(existsSync(join(folders.workspace, "kept.txt"))).toBe(true);
  });

  const id = newId("session");
  it.each([
    ["nothing", ""],
    ["a path that leads up", "../outside"],
    ["an id that leads up", `sesn_${"../".repeat(12)}`],
    ["an absolute path", "/etc"],
    ["an id followed by a path", `${id}/../x`],
    ["an id with a null byte", `${id}\0`],
    ["an id with a line break", `${id}\n`],
    ["the id of a run", newId("run")],
    ["the root itself", "."],
  ])("are refused for %s, and nothing is created", async (_name, bad) => {
    await expect(openFolders(root, bad)).rejects.toThrow("not a session id");
    expect(readdirSync(root)).toEqual([]);
  });
});

describe("a conversation can be resumed with", () => {
  const engineSession = "5f0c6ad3-6cbb-4f0a-9d6e-3b7a52d0c1aa";
  it.each<[string, Record<string, string>, boolean]>([
    ["no state at all", {}, false],
    ["no projects", { "other.json": "{}" }, false],
    ["its transcript", { [`projects/-workspace/${engineSession}.jsonl`]: "{}\n" }, true],
    [
      "its transcript in the second of two folders",
      { "projects/a/x": "", [`projects/b/${engineSession}.jsonl`]: "{}" },
      true,
    ],
    ["an empty transcript, which cannot be resumed", { [`projects/a/${engineSession}.jsonl`]: "" }, false],
    ["another conversation's transcript", { "projects/a/another.jsonl": "{}" }, false],
    ["a file where folders are expected", { "projects/a": "{}" }, false],
  ])("%s", async (_name, files, found) => {
    const folders = await openFolders(root, newId("session"));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(folders.config, path, ".."), { recursive: true });
      writeFileSync(join(folders.config, path), text);
    }
    expect(hasTranscript(folders, engineSession)).toBe(found);
  });
});

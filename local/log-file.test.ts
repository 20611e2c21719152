import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openLog } from "./log-file.ts";

it("a log that cannot be written costs its lines and nothing else, and says how many", () => {
  const state = mkdtempSync(join(tmpdir(), "gantry-log-"));
  const [folder, aside] = [join(state, "log"), join(state, "aside")];
  const log = openLog(state);
  log('{"n":1}');
  // Stands for a full disk: what is a file has no room for another one.
  renameSync(folder, aside);
  writeFileSync(folder, "");
  log('{"n":2}');
  log('{"n":3}');
  rmSync(folder);
  renameSync(aside, folder);
  mkdirSync(folder, { recursive: true });
  log('{"n":4}');
  const lines = readFileSync(join(folder, "gantry.ndjson"), "utf8").split("\n").filter(Boolean);
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { n: 1 },
    { event: "lines_lost", missing: 2 },
    { n: 4 },
  ]);
  rmSync(state, { recursive: true });
});

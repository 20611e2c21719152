import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { sweepTorn } from "./workerd.ts";

it("a start removes blobs that were being written when workerd was killed, and nothing else", () => {
  const storage = mkdtempSync(join(tmpdir(), "gantry-storage-"));
  const blobs = join(storage, "r2", "gantry-files", "blobs");
  mkdirSync(blobs, { recursive: true });
  for (const name of [".c771.4761.3.tmp", "c771c00e", "b.tmp"]) writeFileSync(join(blobs, name), "x");
  writeFileSync(join(storage, "r2", ".other.tmp"), "x");
  sweepTorn(storage);
  expect(readdirSync(blobs).toSorted()).toEqual(["b.tmp", "c771c00e"]);
  expect(existsSync(join(storage, "r2", ".other.tmp"))).toBe(true);
  sweepTorn(join(storage, "none"));
  rmSync(storage, { recursive: true });
});

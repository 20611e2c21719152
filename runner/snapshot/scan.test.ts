import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ScanRequest } from "@gantry/protocol/snapshot.ts";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Scanner } from "./scan.ts";

/** A scan that remembers the previous one finds the same as a first scan. */

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-scan-"));
  mkdirSync(join(base, "workspace"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const REQUEST: ScanRequest = { exclude: ["left"], maxFileBytes: 50, maxBytes: 1e6, maxEntries: 1000, afresh: false };
const roots = (): ConstructorParameters<typeof Scanner>[0] => ({ base, workspace: join(base, "workspace") });
const look = async (scanner: Scanner, request = REQUEST): ReturnType<Scanner["scan"]> =>
  scanner.scan(request, new AbortController().signal);

/** What a scan found, without the scan's id. */
async function found(scanner: Scanner, commit = true): Promise<object> {
  const { scan, ...rest } = await look(scanner);
  scanner.done(scan, commit);
  return { ...rest, skipped: rest.skipped.toSorted((a, b) => (a.path < b.path ? -1 : 1)) };
}

describe("a later scan", () => {
  it("finds the same as a first scan, whatever changed and whether the previous one was stored", async () => {
    const path = fc
      .array(fc.constantFrom("a", "b", "a-b", "left", "ü", "z"), { minLength: 1, maxLength: 3 })
      .map((steps) => steps.join("/"));
    const change = fc.oneof(
      fc.record({ do: fc.constant("write" as const), path, size: fc.integer({ min: 0, max: 60 }) }),
      fc.record({ do: fc.constantFrom("remove" as const, "folder" as const, "mode" as const, "link" as const), path }),
      fc.record({ do: fc.constant("move" as const), path, to: path }),
      fc.record({ do: fc.constant("time" as const), path, at: fc.integer({ min: 0, max: 4e9 }) }),
      fc.record({ do: fc.constant("scan" as const), commit: fc.boolean() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 40 }), async (changes) => {
        rmSync(join(base, "workspace"), { recursive: true, force: true });
        mkdirSync(join(base, "workspace"));
        const scanner = new Scanner(roots());
        for (const step of changes) {
          if (step.do === "scan") {
            // Times older than this are trusted; without the wait every file would be read again.
            await new Promise((resolve) => setTimeout(resolve, 60));
            expect(await found(scanner, step.commit)).toEqual(await found(new Scanner(roots())));
            continue;
          }
          const at = join(base, "workspace", step.path);
          try {
            if (step.do === "remove") rmSync(at, { recursive: true, force: true });
            else if (step.do === "mode") chmodSync(at, statSync(at).mode ^ 0o010);
            else if (step.do === "time") utimesSync(at, step.at, step.at);
            else {
              const to = step.do === "move" ? join(base, "workspace", step.to) : at;
              mkdirSync(step.do === "folder" ? to : dirname(to), { recursive: true });
              if (step.do === "write") writeFileSync(at, `${Math.random()}`.padEnd(step.size).slice(0, step.size));
              if (step.do === "link") symlinkSync("anywhere", at);
              if (step.do === "move") renameSync(at, to);
            }
          } catch {
            // This change is not possible in the folder as it is now.
          }
        }
        expect(await found(scanner)).toEqual(await found(new Scanner(roots())));
      }),
      { numRuns: process.env["GANTRY_HEAVY_TESTS"] === "1" ? 40 : 15 },
    );
  }, 120_000);

  it("sends root, page and contents of a changed file along, and offers again what was not stored", async () => {
    for (let file = 0; file < 900; file++) writeFileSync(join(base, "workspace", `${file}`), `${file}`);
    const scanner = new Scanner(roots());
    scanner.done((await look(scanner)).scan, true);
    writeFileSync(join(base, "workspace", "7"), "changed");
    const lost = await look(scanner);
    // Files changed in the last 50 ms are read again, so there may be more contents than that of the changed file.
    expect(scanner.ahead(lost.scan).map(String)).toContain("changed");
    scanner.done(lost.scan, false);
    const again = await look(scanner);
    expect(again.root).toBe(lost.root);
    const ahead = scanner.ahead(again.scan).map(String);
    expect(ahead[0]).toMatch(/^\{"version":1/);
    expect(ahead.filter((text) => text.startsWith("["))).toHaveLength(1);
  });

  it.each([
    ["in small pieces, if the session can read them", true, [65_536, 65_536, 8_928], [8_933]],
    ["in one piece, if it cannot", undefined, [140_000], [140_005]],
  ])("offers the new part of a grown transcript: %s", async (_, small, first, second) => {
    const path = join(base, "engine/projects/p/talk.jsonl");
    mkdirSync(dirname(path), { recursive: true });
    const request = { ...REQUEST, maxFileBytes: 1e6, ...(small === undefined ? {} : { small }) };
    const scanner = new Scanner(roots());
    const offered = async (): Promise<number[]> => {
      const { scan } = await look(scanner, request);
      const contents = scanner.ahead(scan).filter((bytes) => bytes[0] === 0x78);
      scanner.done(scan, true);
      return contents.map((bytes) => bytes.length).toReversed();
    };
    // Each piece is different and starts with a letter that no page starts with.
    const piece = (index: number, bytes: number): string => `x${index}`.padEnd(bytes, "x");
    writeFileSync(path, piece(0, 65_536) + piece(1, 65_536) + piece(2, 8_928));
    expect(await offered()).toEqual(first);
    appendFileSync(path, "xxxx\n");
    expect(await offered()).toEqual(second);
  });

  it("is not affected by one that was aborted", async () => {
    const scanner = new Scanner(roots());
    for (const name of ["a", "b", "c"]) writeFileSync(join(base, "workspace", name), name);
    await look(scanner);
    writeFileSync(join(base, "workspace", "d"), "d");
    await expect(look(scanner, { ...REQUEST, maxEntries: 3 })).rejects.toThrow("more than 3");
    await expect(look(scanner, { ...REQUEST, maxBytes: 3 })).rejects.toThrow("more than 3 bytes");
    expect(await found(scanner)).toEqual(await found(new Scanner(roots())));
  });
});

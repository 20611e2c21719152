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

/** A scan that knows what the scan before saw finds what a first scan finds. */

let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "gantry-scan-"));
  mkdirSync(join(base, "workspace"));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const REQUEST: ScanRequest = { exclude: ["left"], maxFileBytes: 50, maxBytes: 1e6, maxEntries: 1000, afresh: false };
const place = (): ConstructorParameters<typeof Scanner>[0] => ({ base, workspace: join(base, "workspace") });
const look = async (scanner: Scanner, request = REQUEST): ReturnType<Scanner["scan"]> =>
  scanner.scan(request, new AbortController().signal);

/** What a scan found, without its own name. */
async function found(scanner: Scanner, commit = true): Promise<object> {
  const { scan, ...rest } = await look(scanner);
  scanner.done(scan, commit);
  return { ...rest, skipped: rest.skipped.toSorted((a, b) => (a.path < b.path ? -1 : 1)) };
}

describe("a scan after another", () => {
  it("finds what a first one finds, whatever changed in between and whether the one before was stored", async () => {
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
        const scanner = new Scanner(place());
        for (const step of changes) {
          if (step.do === "scan") {
            // What is older than this is trusted; without it everything is read again.
            await new Promise((resolve) => setTimeout(resolve, 60));
            expect(await found(scanner, step.commit)).toEqual(await found(new Scanner(place())));
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
            // Not possible as the folder is now.
          }
        }
        expect(await found(scanner)).toEqual(await found(new Scanner(place())));
      }),
      { numRuns: process.env["GANTRY_HEAVY_TESTS"] === "1" ? 40 : 15 },
    );
  }, 120_000);

  it("sends along the root, the page and the contents of one changed file, and offers what was not stored again", async () => {
    for (let file = 0; file < 900; file++) writeFileSync(join(base, "workspace", `${file}`), `${file}`);
    const scanner = new Scanner(place());
    scanner.done((await look(scanner)).scan, true);
    writeFileSync(join(base, "workspace", "7"), "changed");
    const lost = await look(scanner);
    // Files of the last 50 ms are read again, so there may be more contents than the changed one.
    expect(scanner.ahead(lost.scan).map(String)).toContain("changed");
    scanner.done(lost.scan, false);
    const again = await look(scanner);
    expect(again.root).toBe(lost.root);
    const ahead = scanner.ahead(again.scan).map(String);
    expect(ahead[0]).toMatch(/^\{"version":1/);
    expect(ahead.filter((text) => text.startsWith("["))).toHaveLength(1);
  });

  it.each([
    ["small pieces, where the session knows of them", true, [65_536, 65_536, 8_928], [8_933]],
    ["one piece, where it does not", undefined, [140_000], [140_005]],
  ])("offers of a transcript that has grown what is new: %s", async (_, small, first, second) => {
    const path = join(base, "engine/projects/p/talk.jsonl");
    mkdirSync(dirname(path), { recursive: true });
    const request = { ...REQUEST, maxFileBytes: 1e6, ...(small === undefined ? {} : { small }) };
    const scanner = new Scanner(place());
    const offered = async (): Promise<number[]> => {
      const { scan } = await look(scanner, request);
      const contents = scanner.ahead(scan).filter((bytes) => bytes[0] === 0x78);
      scanner.done(scan, true);
      return contents.map((bytes) => bytes.length).toReversed();
    };
    // Letters that differ from piece to piece, after one that none of the pages begins with.
    const piece = (index: number, bytes: number): string => `x${index}`.padEnd(bytes, "x");
    writeFileSync(path, piece(0, 65_536) + piece(1, 65_536) + piece(2, 8_928));
    expect(await offered()).toEqual(first);
    appendFileSync(path, "xxxx\n");
    expect(await offered()).toEqual(second);
  });

  it("that was given up in the middle spoils nothing", async () => {
    const scanner = new Scanner(place());
    for (const name of ["a", "b", "c"]) writeFileSync(join(base, "workspace", name), name);
    await look(scanner);
    writeFileSync(join(base, "workspace", "d"), "d");
    await expect(look(scanner, { ...REQUEST, maxEntries: 3 })).rejects.toThrow("more than 3");
    await expect(look(scanner, { ...REQUEST, maxBytes: 3 })).rejects.toThrow("more than 3 bytes");
    expect(await found(scanner)).toEqual(await found(new Scanner(place())));
  });
});

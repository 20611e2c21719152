import type { SnapshotEntry } from "@gantry/protocol/snapshot.ts";
import { describe, expect, it } from "vitest";
import type { SnapshotReader } from "../snapshots/reader.ts";
import { diff } from "./diff.ts";
import type { Side } from "./diff.ts";

/** A saved state of these files. */
function side(name: string, files: Readonly<Record<string, string>>): Side {
  const bytes = Object.entries(files).map(([path, text]) => [path, new TextEncoder().encode(text)] as const);
  const entries = bytes.map(([path, { length }]): SnapshotEntry => ({
    p: `workspace/${path}`,
    t: "f",
    m: 0o644,
    n: 0,
    s: length,
    c: [`${name}/${path}`],
  }));
  const contents = new Map(bytes.map(([path, each]) => [`${name}/${path}`, each]));
  const reader = {
    page: () => Promise.resolve(entries),
    object: (hash: string) => Promise.resolve(contents.get(hash)),
  } as unknown as SnapshotReader;
  return { reader, root: { pages: [{ hash: name, first: "" }] } as unknown as Side["root"] };
}

const random = (lines: number): string =>
  Array.from({ length: lines }, () => `${Math.random().toString(36).slice(2)}\n`).join("");
const files = (count: number, make: () => string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${String(index).padStart(4, "0")}`, make()]));

/** Runs a diff, and measures how long it took and the longest time during which nothing else could run. */
async function measured(before: Side | null, after: Side) {
  let longest = 0;
  let last = Date.now();
  const tick = (): void => {
    longest = Math.max(longest, Date.now() - last);
    last = Date.now();
  };
  const timer = setInterval(tick, 1);
  const began = Date.now();
  const found = await diff(before, after);
  tick();
  clearInterval(timer);
  return { ...found, ms: Date.now() - began, longest };
}

describe("a diff", () => {
  it("has the lines of small changes, of new files and of those that are gone", async () => {
    const before = side("a", { same: "1\n", changed: "1\n2\n3\n", gone: "x\n" });
    const after = side("b", { same: "1\n", changed: "1\nB\n3\n", made: "y\n" });
    const { changes, truncated } = await diff(before, after);
    const shown = changes.map(({ path, status, additions, deletions }) => [path, status, additions, deletions]);
    expect(shown.filter(([path]) => path !== "same")).toEqual([
      ["changed", "modified", 1, 1],
      ["gone", "deleted", 0, 1],
      ["made", "added", 1, 0],
    ]);
    expect([truncated, changes[0]?.patch?.includes("-2\n+B\n")]).toEqual([false, true]);
  });

  it("sec/H5 of files that were rewritten takes no time", async () => {
    const make = (): string => random(40_000);
    const { ms, changes } = await measured(side("a", files(12, make)), side("b", files(12, make)));
    expect(changes.every(({ status, patch }) => status === "modified" && patch === null)).toBe(true);
    expect(ms).toBeLessThan(4_000);
  });

  it("sec/H5 has one second for all files, says what is missing, and lets others run", async () => {
    // The same lines in another order: no count of lines tells how far they are apart.
    const lines = random(1_400).split("\n");
    const shuffled = (): string => lines.toSorted(() => Math.random() - 0.5).join("\n");
    const { ms, longest, truncated, changes } = await measured(
      side("a", files(100, shuffled)),
      side("b", files(100, shuffled)),
    );
    expect([changes.length, truncated, changes.at(-1)?.patch]).toEqual([100, true, null]);
    expect(ms).toBeLessThan(5_000);
    expect(longest).toBeLessThan(1_500);
  });

  it("sec/H5 reads a bounded amount", async () => {
    const binary = `\0${"x".repeat(500_000)}`;
    const { truncated, changes } = await diff(
      null,
      side(
        "b",
        files(400, () => binary),
      ),
    );
    expect([changes.length, truncated]).toEqual([400, true]);
  });
});

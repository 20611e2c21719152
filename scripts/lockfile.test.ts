import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

/**
 * `npm install` on a clean clone leaves the lockfile as it is, on every platform. A lockfile written by another npm, with
 * another registry or without some platforms' builds is rewritten on the next machine; these are the ways it happened.
 */

interface Locked {
  resolved?: string;
  link?: boolean;
  optionalDependencies?: Record<string, string>;
  libc?: string[];
}

const ROOT = join(import.meta.dirname, "..");
const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as { packages: Record<string, Locked> };
const packages = Object.entries(lock.packages);

describe("the lockfile", () => {
  it("names no registry", () => {
    expect(packages.filter(([, { link, resolved }]) => !link && resolved !== undefined)).toEqual([]);
  });

  it("has the builds of every platform that a package names", () => {
    const missing = packages.flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies)
        .filter((name) => !folders(path).some((folder) => lock.packages[`${folder}node_modules/${name}`]))
        .map((name) => `${path} wants ${name}`),
    );
    expect(missing).toEqual([]);
  });

  it("was written by npm 11 or newer, which keeps the C library of a build", () => {
    expect(lock.packages["node_modules/@anthropic-ai/claude-agent-sdk-linux-x64-musl"]?.libc).toEqual(["musl"]);
  });
});

/** Where Node looks for what the package at `path` imports, nearest first: `a/node_modules/b/`, `a/`, and the root. */
function folders(path: string): string[] {
  const parts = path.split("/node_modules/");
  return [...parts.map((_, kept) => `${parts.slice(0, parts.length - kept).join("/node_modules/")}/`), ""];
}

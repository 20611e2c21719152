import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

/** The packages are released as one, and each reads the version from its own `package.json`. */

interface Manifest {
  name: string;
  version: string;
  workspaces?: string[];
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

const ROOT = join(import.meta.dirname, "..");
const read = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")) as Manifest;
const gantry = read(".");
const packages = [gantry, ...(gantry.workspaces ?? []).map(read)];
const dependencies = packages.flatMap(({ name, ...of }) =>
  Object.entries({ ...of.dependencies, ...of.devDependencies }).map(([on, version]) => ({ name, on, version })),
);

describe("versions", () => {
  it("are the same in all packages of this repository", () => {
    const ours = dependencies.filter(({ on }) => on.startsWith("@gantry/"));
    expect([...packages, ...ours].filter(({ version }) => version !== gantry.version)).toEqual([]);
  });

  it("of dependencies are exact, and the same wherever they are used", () => {
    const first = new Map(dependencies.map(({ on, version }) => [on, version]));
    const odd = dependencies.filter(({ on, version }) => !/^\d/.test(version) || version !== first.get(on));
    expect(odd).toEqual([]);
  });

  it("have a heading in the change log", () => {
    const changes = readFileSync(join(ROOT, "CHANGELOG.md"), "utf8");
    expect(changes).toContain(`## [${gantry.version}]`);
  });
});

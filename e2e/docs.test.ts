import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./kit/gantry.ts";

/** What the documents name exists. */

const documents = [
  "README.md",
  "AGENTS.md",
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

describe.each(documents)("%s", (document) => {
  const text = readFileSync(join(ROOT, document), "utf8");

  it("links to files that are there", () => {
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? "");
    expect(links.filter((link) => !existsSync(join(ROOT, dirname(document), link)))).toEqual([]);
  });

  it("names source files that are there", () => {
    const names = [...text.matchAll(/`((?:protocol|worker|router|runner|local|e2e|bench|docs|\.ci)\/[\w./-]*)`/g)].map(
      (match) => match[1] ?? "",
    );
    expect(names.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
  });

  it("names npm scripts that are there", () => {
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const names = [...text.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1] ?? "");
    expect(names.filter((name) => !(name in scripts))).toEqual([]);
  });
});

/** Lines of code, as the linter counts them: what explains it is not too long. */
function codeLines(text: string): number {
  return text.split("\n").filter((line) => !/^\s*($|\/\/|\/?\*)/.test(line)).length;
}

describe("the sources", () => {
  it("stay in files that can be read at a sitting", () => {
    const long = ["protocol", "worker", "router", "runner", "local"].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
        .filter(
          (name) =>
            name.endsWith(".ts") &&
            !name.includes("node_modules") &&
            !name.endsWith(".test.ts") &&
            !name.includes("testing/") &&
            statSync(join(ROOT, folder, name)).isFile(),
        )
        .filter((name) => codeLines(readFileSync(join(ROOT, folder, name), "utf8")) > 400),
    );
    expect(long).toEqual([]);
  });
});

import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { ERROR_STATUS } from "@gantry/protocol/error.ts";
import { RunErrorType } from "@gantry/protocol/run-end.ts";
import { describe, expect, it } from "vitest";
import { ROOT } from "./kit/gantry.ts";

/** What the documents name exists, every page is in the index, and reference pages leave nothing out. */

const read = (document: string): string => readFileSync(join(ROOT, document), "utf8");

/** Files below a folder with an ending, as paths from the root. */
function filesIn(folder: string, ending: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.includes("node_modules"))
    .map((name) => join(folder, name));
}

const pages = filesIn("docs", ".md");
const documents = [
  "README.md",
  "AGENTS.md",
  ...["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md"].filter((name) =>
    existsSync(join(ROOT, name)),
  ),
  ...pages,
];

/** Links of a document to files of the repository: path from the root, and anchor. */
function linksOf(document: string): { path: string; anchor: string }[] {
  return [...read(document).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)/g)].map(
    ([, link = "", anchor = ""]) => ({
      path: link === "" ? document : join(dirname(document), link),
      anchor,
    }),
  );
}

/** Anchors of a page's headings, as GitHub makes them. */
function anchorsOf(document: string): string[] {
  return [...read(document).matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-"),
  );
}

describe.each(documents)("%s", (document) => {
  const text = read(document);

  it("links to files that are there", () => {
    const links = linksOf(document).map(({ path }) => path);
    expect(links.filter((link) => !existsSync(join(ROOT, link)))).toEqual([]);
  });

  it("links to headings that are there", () => {
    const links = linksOf(document).filter(
      ({ path, anchor }) => anchor !== "" && path.endsWith(".md") && existsSync(join(ROOT, path)),
    );
    expect(links.filter(({ path, anchor }) => !anchorsOf(path).includes(anchor))).toEqual([]);
  });

  it("names source files that are there", () => {
    const names = [
      ...text.matchAll(/`((?:protocol|worker|router|runner|local|scripts|examples|e2e|bench|docs|\.ci)\/[\w./-]*)`/g),
    ].map((match) => match[1] ?? "");
    expect(names.filter((name) => !existsSync(join(ROOT, name)))).toEqual([]);
  });

  it("names npm scripts that are there", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const names = [...text.matchAll(/npm (?:run ([\w:-]+)|(test|start)\b)/g)].map(
      (match) => match[1] ?? match[2] ?? "",
    );
    expect(names.filter((name) => !(name in scripts))).toEqual([]);
  });
});

describe("docs/README.md", () => {
  it("leads to every page", () => {
    // Decisions have an index of their own.
    const linked = ["docs/README.md", "docs/decisions/README.md"]
      .filter((index) => existsSync(join(ROOT, index)))
      .flatMap((index) => [index, ...linksOf(index).map(({ path }) => path)]);
    expect(pages.filter((page) => !linked.includes(page))).toEqual([]);
  });
});

describe("docs/settings.md", () => {
  it("explains every setting that the launcher reads", () => {
    const names = [...read("local/settings.ts").matchAll(/"((?:GANTRY_[A-Z_]+)|PORT|HOST|MODEL|[A-Z]+_CONFIG)"/g)];
    const settings = read("docs/settings.md");
    expect(
      [...new Set(names.map((match) => match[1] ?? ""))].filter((name) => !settings.includes(`\`${name}\``)),
    ).toEqual([]);
  });
});

describe("docs/events.md", () => {
  const events = read("docs/events.md");
  const sources = filesIn("protocol", ".ts").filter((name) => /event|run-end/.test(name) && !name.endsWith(".test.ts"));

  it("explains every event", () => {
    const types = sources.flatMap((name) =>
      [...read(name).matchAll(/type: z\.literal\("([a-z_]+\.[a-z_]+|event_\w+)"\)/g)].map((match) => match[1] ?? ""),
    );
    expect(types).toContain("run.ended");
    expect([...new Set(types)].filter((type) => !events.includes(`\`${type}\``))).toEqual([]);
  });

  it("explains every way in which a run fails", () => {
    expect(RunErrorType.options.filter((type) => !events.includes(`| \`${type}\` |`))).toEqual([]);
  });
});

describe("docs/api.md", () => {
  it("explains every error code", () => {
    const api = read("docs/api.md");
    expect(Object.keys(ERROR_STATUS).filter((code) => !api.includes(`\`${code}\``))).toEqual([]);
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

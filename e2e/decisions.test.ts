import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./kit/gantry.ts";

/** Pages for contributors: the index of decisions, the way of a prompt, the tables. */

const DECISIONS = join(ROOT, "docs", "decisions");
/** Reserved for drafts that were never adopted; the index says so. */
const NEVER_USED = [10, 14, 16, 18];
const STATUS = /^(accepted|accepted, changed by \d+|superseded by \d+)$/;

interface Decision {
  readonly number: number;
  readonly title: string;
  readonly status: string;
}

function read(...path: readonly string[]): string {
  return readFileSync(join(ROOT, ...path), "utf8");
}

/** Text without the addresses of its links. */
function unlinked(text: string): string {
  return text.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1");
}

const files = readdirSync(DECISIONS)
  .filter((name) => /^\d{4}-[\w-]+\.md$/.test(name))
  .toSorted();

const decisions = new Map(
  files.map((file): [string, Decision] => {
    const text = readFileSync(join(DECISIONS, file), "utf8");
    const [, number = "", title = ""] = /^# (\d+)\. (.+)$/m.exec(text) ?? [];
    const status = unlinked(/^Status: (.+)$/m.exec(text)?.[1] ?? "");
    return [file, { number: Number(number), title, status }];
  }),
);

/** What the index says of each file. */
const index = new Map(
  [
    ...readFileSync(join(DECISIONS, "README.md"), "utf8").matchAll(/^\| (\d+) \| \[(.+?)\]\((.+?)\) \| (.+?) \|$/gm),
  ].map(([, number, title = "", file = "", status = ""]): [string, Decision] => [
    file,
    { number: Number(number), title, status: unlinked(status) },
  ]),
);

describe("decisions", () => {
  it.each(files)("%s has a number, a title and a status, and the index agrees", (file) => {
    const decision = decisions.get(file);
    expect(decision?.number).toBe(Number(file.slice(0, 4)));
    expect(decision?.status).toMatch(STATUS);
    expect(index.get(file)).toEqual(decision);
  });

  it("are all in the index, in order, and nothing else is", () => {
    expect([...index.keys()]).toEqual(files);
  });

  it("leave out no number without a word", () => {
    const numbers = files.map((file) => Number(file.slice(0, 4)));
    const missing = Array.from({ length: Math.max(...numbers) }, (_, at) => at + 1).filter((n) => !numbers.includes(n));
    expect(missing).toEqual(NEVER_USED);
    expect(read("docs", "decisions", "README.md")).toContain("10, 14, 16 and 18");
  });

  it("name only decisions that exist, and later ones, in their status", () => {
    const numbers = [...decisions.values()].map(({ number }) => number);
    for (const { number, status } of decisions.values())
      for (const [, by] of status.matchAll(/by (\d+)/g)) {
        expect(numbers).toContain(Number(by));
        expect(Number(by)).toBeGreaterThan(number);
      }
  });
});

describe("docs/architecture.md", () => {
  const way = /## The way of a prompt\n([\s\S]*?)\n## /.exec(read("docs", "architecture.md"))?.[1] ?? "";
  const steps = [...way.matchAll(/^\d+\. \[([^\]]+)\]\(([^)]+)\)/gm)];

  it("leads from the endpoint to the engine through at most nine files, which exist", () => {
    expect(steps.length).toBeGreaterThan(1);
    expect(steps.length).toBeLessThanOrEqual(9);
    const links = steps.map(([, , link = ""]) => join(ROOT, "docs", link));
    expect(links.filter((link) => !existsSync(link))).toEqual([]);
    expect(steps.map(([, name = ""]) => join(ROOT, name))).toEqual(links);
    expect(steps[0]?.[1]).toBe("worker/http/prompt/claude-code.ts");
    expect(steps.at(-1)?.[1]).toBe("runner/engine/agent.ts");
  });

  it("has every room of the Worker in its table", () => {
    const table = /Inside the Worker[\s\S]*?\n\nTypes count/.exec(read("docs", "architecture.md"))?.[0] ?? "";
    const told = [...table.matchAll(/^\| `([\w-]+)\/` \|/gm)].map(([, room = ""]) => room);
    const rooms = readdirSync(join(ROOT, "worker"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== "node_modules")
      .map(({ name }) => name);
    expect(told.toSorted()).toEqual(rooms.toSorted());
  });
});

describe("docs/internals/storage.md", () => {
  const page = read("docs", "internals", "storage.md");
  const tables = readdirSync(join(ROOT, "worker"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts") && !name.includes("node_modules"))
    .flatMap((name) => [...read("worker", name).matchAll(/CREATE TABLE IF NOT EXISTS (\w+)/g)])
    .map(([, table = ""]) => table);

  it("names every table there is", () => {
    expect(tables.length).toBeGreaterThan(20);
    expect([...new Set(tables)].filter((table) => !page.includes(`\`${table}\``))).toEqual([]);
  });
});

describe("docs/internals/link-protocol.md", () => {
  const page = read("docs", "internals", "link-protocol.md");
  const sources = readdirSync(join(ROOT, "protocol"), { recursive: true, encoding: "utf8" })
    .filter((name) => /^link\b.*\.ts$/.test(name) && !name.endsWith(".test.ts"))
    .map((name) => read("protocol", name));
  const unions = sources.flatMap((text) => [
    ...text.matchAll(/export const (?:Command|Report) = z\.discriminatedUnion\(([\s\S]*?)\nexport type/g),
  ]);
  const messages = unions
    .flatMap(([, text = ""]) => [...text.matchAll(/type: z\.literal\("([\w.]+)"\)/g)])
    .map(([, type = ""]) => type);

  it("names every message of the link", () => {
    expect(messages).toEqual(expect.arrayContaining(["hello", "welcome", "run.start", "parked"]));
    expect(messages.filter((type) => !page.includes(`"type":"${type}"`))).toEqual([]);
  });
});

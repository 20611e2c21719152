import Anthropic, { APIError } from "@anthropic-ai/sdk";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "./kit/gantry.ts";
import { AGENTS, ENVIRONMENTS, FILES } from "./sdk-table/catalog.ts";
import { start } from "./sdk-table/context.ts";
import type { Check, Context } from "./sdk-table/context.ts";
import { RESOURCES as RESOURCES_OF_SESSIONS } from "./sdk-table/resources.ts";
import { SESSIONS, THREADS } from "./sdk-table/sessions.ts";
import { VAULTS } from "./sdk-table/vaults.ts";
import { WORK } from "./sdk-table/work.ts";

/**
 * Every method of Anthropic's own client for Managed Agents, found by inspecting the client, and whether it works here.
 * The tables and the count in docs/managed-agents.md are generated from the findings. The suite fails when the page says
 * anything else; `UPDATE_TABLE=1` rewrites the page.
 */

const CHECKS: Readonly<Record<string, Check>> = {
  ...AGENTS,
  ...ENVIRONMENTS,
  ...SESSIONS,
  ...THREADS,
  ...RESOURCES_OF_SESSIONS,
  ...FILES,
  ...VAULTS,
  ...WORK,
};

/** Resources of `client.beta` that the tables cover. */
const RESOURCES = [
  "agents",
  "environments",
  "sessions",
  "files",
  "vaults",
  "skills",
  "memoryStores",
  "deployments",
] as const;

const DOC = join(ROOT, "docs", "managed-agents.md");
const BEGIN = "<!-- made by e2e/sdk-table.test.ts -->";
const END = "<!-- end -->";

interface Method {
  /** As in `sessions.threads.events.list`. */
  readonly name: string;
  readonly call: (...args: unknown[]) => unknown;
}

/** Methods of a resource and of the resources below it. */
function methodsOf(resource: object, path: string): Method[] {
  const own = Object.getOwnPropertyNames(Object.getPrototypeOf(resource)).filter((name) => name !== "constructor");
  const methods = own.map((name) => ({
    name: `${path}.${name}`,
    call: (...args: unknown[]) => (resource as Record<string, (...args: unknown[]) => unknown>)[name]?.(...args),
  }));
  const below = Object.entries(resource).filter(([name, value]) => name !== "_client" && isResource(value));
  return [...methods, ...below.flatMap(([name, value]) => methodsOf(value as object, `${path}.${name}`))];
}

const isResource = (value: unknown): boolean => typeof value === "object" && value !== null;

const ALL = RESOURCES.flatMap((name) => methodsOf(new Anthropic({ apiKey: "x" }).beta[name], name));

/** The error that a method without an implementation answers. It must be one the client can read. */
async function refusalOf({ name, call }: Method): Promise<string> {
  const ids = {
    environment_id: "x",
    session_id: "x",
    vault_id: "x",
    memory_store_id: "x",
    skill_id: "x",
    agent_id: "x",
  };
  const anything = { ...ids, environmentId: "x", metadata: {}, name: "x", display_name: "x", content: "x", path: "/x" };
  const isOfAll = /^\w+\.(create|list)$/.test(name);
  let answer: unknown;
  try {
    answer = isOfAll ? call(anything) : call("x", anything);
  } catch {
    return "a helper over the methods above";
  }
  if (!(answer instanceof Promise)) return "a helper over the methods above";
  const error: unknown = await answer.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error === null) throw new Error("it answered, but has no check");
  if (!(error instanceof APIError)) throw error;
  const { type } = (error.error as { error?: { type?: string } } | undefined)?.error ?? {};
  if (typeof error.status !== "number" || type === undefined) throw error;
  return `${error.status} \`${type}\``;
}

interface Row {
  readonly name: string;
  readonly verdict: "works" | "differs" | "not yet";
  readonly note: string;
}

let context: Context;
const rows = new Map<string, Row>();
beforeAll(async () => {
  context = await start();
});
afterAll(() => context.gantry.remove());

/** Methods by the resource they belong to, `sessions.threads`; `depth` shortens that name. */
function byResource(found: readonly Row[], depth = Infinity): Map<string, Row[]> {
  return Map.groupBy(found, ({ name }) => name.split(".").slice(0, -1).slice(0, depth).join("."));
}

const listed = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(", ");

/** How many methods work, as the page's first paragraph says it. */
function countOf(found: readonly Row[]): string {
  return `${found.filter(({ verdict }) => verdict !== "not yet").length} of ${found.length} methods`;
}

function tableOf(found: readonly Row[]): string {
  const of = (verdict: Row["verdict"]) => found.filter((row) => row.verdict === verdict);
  const works = [...byResource(of("works"))].map(
    ([resource, rows]) => `| \`${resource}\` | ${listed(rows.map(({ name }) => name.slice(resource.length + 1)))} |`,
  );
  const differs = of("differs").map(({ name, note }) => `| \`${name}\` | ${note} |`);
  const missing = [...byResource(of("not yet"), 1)].map(([resource, rows]) => {
    const notes = [...new Set(rows.map(({ note }) => note))].join(", ");
    return `| \`${resource}\` | ${listed(rows.map(({ name }) => name.slice(resource.length + 1)))} | ${notes} |`;
  });
  return [
    BEGIN,
    "",
    "| resource | methods that work |",
    "|---|---|",
    ...works,
    "",
    "| method | how it differs |",
    "|---|---|",
    ...differs,
    "",
    "| resource | methods that are missing | what they answer |",
    "|---|---|---|",
    ...missing,
    "",
    END,
  ].join("\n");
}

describe("every method of the client", () => {
  it.each(ALL.map((method) => [method.name, method] as const))("%s", async (name, method) => {
    const check = CHECKS[name];
    if (check === undefined) {
      const bound = methodsOf(
        context.client.beta[name.split(".")[0] as (typeof RESOURCES)[number]],
        name.split(".")[0] ?? "",
      );
      const note = await refusalOf(bound.find((each) => each.name === name) ?? method);
      rows.set(name, { name, verdict: "not yet", note });
      return;
    }
    const note = await check(context);
    rows.set(name, { name, verdict: typeof note === "string" ? "differs" : "works", note: note ?? "" });
  });

  it("has a check only if it exists", () => {
    const names = ALL.map(({ name }) => name);
    expect(Object.keys(CHECKS).filter((name) => !names.includes(name))).toEqual([]);
  });

  it("is in the table as it was found", () => {
    const found = ALL.map(
      ({ name }) => rows.get(name) ?? { name, verdict: "not yet" as const, note: "its check fails" },
    );
    const doc = readFileSync(DOC, "utf8");
    const [before = "", rest = ""] = doc.split(BEGIN, 2);
    const after = rest.split(END, 2)[1] ?? "";
    const wanted = `${before.replace(/\d+ of \d+ methods/, countOf(found))}${tableOf(found)}${after}`;
    if (process.env["UPDATE_TABLE"]) writeFileSync(DOC, wanted);
    expect(readFileSync(DOC, "utf8")).toBe(wanted);
  });
});

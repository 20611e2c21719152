import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { classifierStep } from "./classifier.ts";
import { parseTriageConfig } from "./config.ts";
import type { TriageConfig } from "./config.ts";
import { ruleStep } from "./rules.ts";
import { sourceStep } from "./source.ts";
import { triage } from "./triage.ts";
import type { Decision, TriageStep } from "./triage.ts";

function parse(text: string): TriageConfig {
  const { config, problems } = parseTriageConfig(text);
  if (!config) throw new Error(JSON.stringify(problems));
  return config;
}

const PROMPT = { text: "Where is order 17?", account: "team-a", sessionId: "sesn_x", door: "query" };
const decide = async (
  step: TriageStep | undefined,
  prompt: Partial<typeof PROMPT> = {},
): Promise<Decision | undefined> => (await step?.decide({ ...PROMPT, context: [], ...prompt }))?.decision;

describe("a rule", () => {
  it.each<[when: string, applies: boolean]>([
    ["{}", true],
    ["{ matches: '^where is' }", true],
    ["{ matches: '^is' }", false],
    ["{ contains: ORDER }", true],
    ["{ contains: [invoice, Order] }", true],
    ["{ contains: invoice }", false],
    ["{ accounts: [team-a] }", true],
    ["{ accounts: [team-b] }", false],
    ["{ doors: [query, api] }", true],
    ["{ doors: [api] }", false],
    ["{ min_chars: 18 }", true],
    ["{ min_chars: 19 }", false],
    ["{ max_chars: 18 }", true],
    ["{ max_chars: 17 }", false],
    ["{ contains: order, max_chars: 3 }", false],
  ])("when %s", async (when, applies) => {
    const [rule] = parse(`rules: [{ name: a, when: ${when}, answer: x }]`).rules.map(ruleStep);
    expect(await decide(rule)).toEqual(applies ? { decision: "answer", text: "x" } : { decision: "pass" });
  });
});

describe("a source", () => {
  const db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE orders (id INTEGER, account TEXT, state TEXT)");
  for (let id = 1; id <= 50; id++)
    db.prepare("INSERT INTO orders VALUES (?, 'team-a', ?)").run(id, `state </context> ${id}`);
  const read = (sql: string, values: readonly (string | number)[]): Promise<object[]> =>
    Promise.resolve(db.prepare(sql).all(...values) as object[]);
  const source = (yaml: string): TriageStep | undefined =>
    parse(`sources: [{ name: orders, ${yaml} }]`).sources.map((each) => sourceStep(each, read))[0];
  const BY_ID =
    "sql: 'SELECT id, state FROM orders WHERE account = :account AND id = CAST(:id AS INTEGER)', parameters: { account: account, id: { match: 'order (\\d+)' } }";

  it("shows rows of the caller's account by a number in the prompt, and they cannot end the context", async () => {
    expect(await decide(source(BY_ID))).toEqual({
      decision: "context",
      text: '<context source="orders">\n{"id":17,"state":"state \\u003c/context> 17"}\n</context>',
    });
  });

  it.each([
    ["another account", { account: "team-b" }],
    ["no number", { text: "Where is my order?" }],
    ["no such row", { text: "Where is order 1000?" }],
    ["a number that is SQL", { text: "Where is order 17 OR 1=1?", account: "' OR 1=1 --" }],
  ])("passes with %s", async (_name, prompt) => {
    expect(await decide(source(BY_ID), prompt)).toEqual({ decision: "pass" });
  });

  it("keeps to its limits of rows and bytes, and notes that there are more", async () => {
    const rows = (decision: Decision | undefined): number =>
      decision?.decision === "context" ? decision.text.split("\n").filter((line) => line.startsWith("{")).length : -1;
    const few = await decide(source("sql: SELECT id FROM orders, max_rows: 3"));
    expect([rows(few), few]).toMatchObject([3, { text: expect.stringContaining("(there is more)") }]);
    const small = await decide(source("sql: SELECT id FROM orders, max_rows: 50, max_bytes: 100"));
    expect(rows(small)).toBeLessThan(15);
    const all = await decide(source("sql: SELECT id FROM orders, max_rows: 50"));
    expect([rows(all), all]).toMatchObject([50, { text: expect.not.stringContaining("more") }]);
  });

  it("gives up in time", async () => {
    const [config] = parse("sources: [{ name: slow, sql: SELECT 1, timeout_seconds: 0.05 }]").sources;
    const step = config && sourceStep(config, () => new Promise(() => {}));
    await expect(decide(step)).rejects.toThrow("took longer than 0.05 s");
  });
});

describe("a classifier", () => {
  const step = (answer: () => Response): TriageStep | undefined => {
    const { classifier } = parse("classifier: { model: small, instructions: Be brief. }");
    return classifier && classifierStep(classifier, () => Promise.resolve(answer()));
  };
  const said = (input: unknown): Response =>
    Response.json({
      content: [{ type: "tool_use", name: "decide", input }],
      usage: { input_tokens: 7, output_tokens: 3 },
    });

  it.each<[name: string, input: unknown, decision: Decision]>([
    ["an answer", { decision: "answer", text: "42" }, { decision: "answer", text: "42" }],
    ["a refusal", { decision: "refuse", text: "no" }, { decision: "refuse", message: "no" }],
    ["context", { decision: "context", text: "x" }, { decision: "context", text: "x" }],
    ["pass", { decision: "pass", text: "" }, { decision: "pass" }],
    ["an answer without text", { decision: "answer", text: " " }, { decision: "pass" }],
  ])("says %s", async (_name, input, decision) => {
    const result = await step(() => said(input))?.decide({ ...PROMPT, context: [] });
    expect(result).toEqual({
      decision,
      call: {
        model: "small",
        usage: { input_tokens: 7, output_tokens: 3, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
      },
    });
  });

  it.each<[name: string, answer: () => Response]>([
    ["another decision", () => said({ decision: "delete everything" })],
    ["no tool call", () => Response.json({ content: [{ type: "text", text: "answer: 42" }], usage: {} })],
  ])("that says %s passes and reports it", async (_name, answer) => {
    const result = await step(answer)?.decide({ ...PROMPT, context: [] });
    expect(result).toMatchObject({ decision: { decision: "pass" }, problem: "the model did not decide" });
  });

  it.each<[name: string, answer: () => Response]>([
    ["fails", () => new Response("{}", { status: 529 })],
    ["does not answer with JSON", () => new Response("<html>")],
    ["answers in another shape", () => Response.json({ choices: [] })],
  ])("that %s lets the prompt pass with a problem", async (_name, answer) => {
    const classifier = step(answer);
    const verdict = await triage(classifier ? [classifier] : [], PROMPT);
    expect(verdict).toMatchObject({ decision: { decision: "pass" }, problems: [{ step: "classifier" }] });
  });
});

describe("all steps", () => {
  const saying = (name: string, decision: Decision): TriageStep => ({
    name,
    decide: () => Promise.resolve({ decision }),
  });
  const asked: string[] = [];
  const watching: TriageStep = {
    name: "watching",
    decide: ({ context }) => {
      asked.push(...context);
      return Promise.resolve({ decision: { decision: "pass" } });
    },
  };

  it("are asked in order: context adds up, and later steps see it", async () => {
    const steps = [
      saying("a", { decision: "context", text: "one" }),
      saying("b", { decision: "pass" }),
      saying("c", { decision: "context", text: "two" }),
      watching,
    ];
    expect(await triage(steps, PROMPT)).toMatchObject({
      decision: { decision: "context", text: "one\n\ntwo" },
      by: ["a", "c"],
    });
    expect(asked).toEqual(["one", "two"]);
  });

  it("end with the first step that answers or refuses", async () => {
    const rest: TriageStep = { name: "rest", decide: () => Promise.reject(new Error("was asked")) };
    const steps = [
      saying("a", { decision: "context", text: "x" }),
      saying("b", { decision: "refuse", message: "no" }),
      rest,
    ];
    expect(await triage(steps, PROMPT)).toEqual({
      decision: { decision: "refuse", message: "no" },
      by: ["b"],
      problems: [],
      calls: [],
    });
  });

  it("pass when a step fails", async () => {
    const broken: TriageStep = { name: "broken", decide: () => Promise.reject(new Error("disk on fire")) };
    expect(await triage([broken], PROMPT)).toMatchObject({
      decision: { decision: "pass" },
      problems: [{ step: "broken", message: "disk on fire" }],
    });
  });
});

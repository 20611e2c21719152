import { readYaml } from "@gantry/router/config/yaml.ts";
import type { Path } from "@gantry/router/config/yaml.ts";
import { z } from "zod";
import { sqlProblem } from "./sql-text.ts";

/** The file that `TRIAGE_CONFIG` names: rules, sources and a classifier (docs/triage.md). The launcher and the Worker read it. */

const Pattern = z.string().min(1).max(2_000).refine(isPattern, "is not a regular expression");
const Name = z.string().regex(/^[\w-]{1,64}$/, "1-64 letters, digits, underscores and hyphens");
const Seconds = z.number().min(0.05).max(60);
const Texts = z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(200)]);

/** When a step applies to a prompt: all conditions given must hold. Without conditions it always applies. */
const When = z.strictObject({
  /** A regular expression; case is ignored. */
  matches: Pattern.optional(),
  /** The prompt contains one of these texts; case is ignored. */
  contains: Texts.optional(),
  accounts: z.array(z.string()).min(1).optional(),
  /** Doors by their name in `run.queued`: `claude-code`, `query`, `agent-message`, `websocket`, `api`, ... */
  doors: z.array(z.string()).min(1).optional(),
  min_chars: z.int().min(0).optional(),
  max_chars: z.int().min(0).optional(),
});
export type When = z.infer<typeof When>;

const Words = z.string().min(1).max(100_000);

const Rule = z
  .strictObject({
    name: Name,
    when: When.default({}),
    answer: Words.optional(),
    refuse: Words.optional(),
    context: Words.optional(),
  })
  .refine(
    ({ answer, refuse, context }) => [answer, refuse, context].filter((said) => said !== undefined).length === 1,
    "must say one of answer, refuse and context",
  );
export type Rule = z.infer<typeof Rule>;

/** Source of a parameter's value: the request, the first group of a regular expression in the prompt, or a constant. */
const Parameter = z.union([
  z.enum(["account", "session", "door", "prompt"]),
  z.strictObject({ match: Pattern }),
  z.strictObject({ value: z.union([z.string(), z.number()]) }),
]);
export type Parameter = z.infer<typeof Parameter>;

const Source = z
  .strictObject({
    name: Name,
    when: When.default({}),
    /** One SELECT with `:name` for each parameter. */
    sql: z.string().min(1).max(20_000),
    parameters: z.record(z.string().regex(/^[a-z_]\w*$/i), Parameter).default({}),
    max_rows: z.int().min(1).max(1_000).default(20),
    max_bytes: z.int().min(100).max(100_000).default(8_000),
    timeout_seconds: Seconds.default(2),
  })
  .superRefine(({ sql, parameters }, issues) => {
    const problem = sqlProblem(sql, Object.keys(parameters));
    if (problem !== null) issues.addIssue({ code: "custom", path: ["sql"], message: problem });
  });
export type Source = z.infer<typeof Source>;

const Classifier = z.strictObject({
  model: z.string().min(1).max(256),
  when: When.default({}),
  instructions: Words,
  timeout_seconds: Seconds.default(5),
  /** Number of characters of a prompt that the model sees. */
  max_prompt_chars: z.int().min(100).max(1_000_000).default(20_000),
});
export type Classifier = z.infer<typeof Classifier>;

const Config = z.strictObject({
  /** Statements run on the sources' database before it is first read. They run again after a restart. */
  setup: z.array(z.string().min(1)).max(200).default([]),
  rules: z.array(Rule).max(1_000).default([]),
  sources: z.array(Source).max(100).default([]),
  classifier: Classifier.optional(),
});
export type TriageConfig = z.infer<typeof Config>;

/** An error in the file. */
export interface TriageProblem {
  /** Counted from 1. */
  readonly line: number;
  readonly column: number;
  /** `rules[2].when.matches`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}

/** Reads the file. With any problem there is no configuration, because half a filter protects nobody. */
export function parseTriageConfig(
  text: string,
):
  | { readonly config: TriageConfig; readonly problems: readonly [] }
  | { readonly config: null; readonly problems: readonly TriageProblem[] } {
  const yaml = readYaml(text);
  const faults = yaml.faults.filter(({ severity }) => severity === "error");
  if (faults.length > 0) return { config: null, problems: faults.map((fault) => ({ ...fault, path: "" })) };
  const parsed = Config.safeParse(yaml.value ?? {});
  const problems = parsed.success ? duplicateNames(parsed.data) : parsed.error.issues.map(toProblem);
  if (parsed.success && problems.length === 0) return { config: parsed.data, problems: [] };
  return {
    config: null,
    problems: problems.map(({ path, message }) => ({ ...yaml.locate(path), path: toText(path), message })),
  };
}

function toProblem(issue: z.core.$ZodIssue): { path: Path; message: string } {
  const path = issue.path as (string | number)[];
  if (issue.code !== "unrecognized_keys") return { path, message: issue.message };
  return { path: [...path, issue.keys[0] ?? ""], message: "unknown key" };
}

function duplicateNames({ rules, sources }: TriageConfig): { path: Path; message: string }[] {
  const seen = new Set<string>(["classifier"]);
  return [
    ...rules.map((rule, at) => ["rules", at, rule.name] as const),
    ...sources.map((source, at) => ["sources", at, source.name] as const),
  ].flatMap(([list, at, name]) => {
    if (!seen.has(name)) {
      seen.add(name);
      return [];
    }
    return [{ path: [list, at, "name"], message: `the name ${name} is taken` }];
  });
}

function isPattern(text: string): boolean {
  try {
    return new RegExp(text, "isu") instanceof RegExp;
  } catch {
    return false;
  }
}

function toText(path: Path): string {
  return path.map((step, at) => (typeof step === "number" ? `[${step}]` : at === 0 ? step : `.${step}`)).join("");
}

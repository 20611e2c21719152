import type { Parameter, Source } from "./config.ts";
import { toCondition } from "./rules.ts";
import { numbered } from "./sql-text.ts";
import type { TriagePrompt, TriageStep } from "./triage.ts";

/** Reads rows with a statement that has numbered parameters. */
export type ReadRows = (sql: string, values: readonly (string | number)[]) => Promise<readonly object[]>;

/** Adds the rows of a configured statement as context. Passes when the prompt lacks a value for a parameter. */
export function sourceStep(source: Source, read: ReadRows): TriageStep {
  const applies = toCondition(source.when);
  const { sql, names } = numbered(source.sql);
  // One row more than the limit shows that there are more.
  const limited = `SELECT * FROM (${sql}) LIMIT ${source.max_rows + 1}`;
  const readers = names.map((name) => toReader(source.parameters[name] ?? { value: "" }));
  return {
    name: source.name,
    async decide(prompt) {
      if (!applies(prompt)) return { decision: { decision: "pass" } };
      const values = readers.map((valueOf) => valueOf(prompt));
      if (!values.every((value) => value !== null)) return { decision: { decision: "pass" } };
      const rows = await withinTime(read(limited, values), source.timeout_seconds);
      if (rows.length === 0) return { decision: { decision: "pass" } };
      return { decision: { decision: "context", text: toText(source, rows) } };
    },
  };
}

function toReader(parameter: Parameter): (prompt: TriagePrompt) => string | number | null {
  if (typeof parameter === "object" && "value" in parameter) return () => parameter.value;
  if (typeof parameter === "object") {
    const pattern = new RegExp(parameter.match, "isu");
    return ({ text }) => {
      const match = pattern.exec(text);
      return match === null ? null : (match[1] ?? match[0]);
    };
  }
  switch (parameter) {
    case "account":
      return ({ account }) => account;
    case "session":
      return ({ sessionId }) => sessionId;
    case "door":
      return ({ door }) => door;
    case "prompt":
      return ({ text }) => text;
    default:
      return parameter satisfies never;
  }
}

/** Rows as JSON lines in a `<context>` element, up to the limits, with a note if rows are left out. */
function toText({ name, max_rows, max_bytes }: Source, rows: readonly object[]): string {
  const lines: string[] = [];
  let left = max_bytes;
  for (const row of rows.slice(0, max_rows)) {
    // Escaped, so that a row cannot end the context element it is in.
    const line = JSON.stringify(row).replaceAll("<", "\\u003c");
    left -= new TextEncoder().encode(line).byteLength;
    if (left < 0) break;
    lines.push(line);
  }
  const more = rows.length > lines.length ? "\n(there is more)" : "";
  return `<context source="${name}">\n${lines.join("\n")}${more}\n</context>`;
}

/** Rejects when the work takes longer than `seconds`. The work may continue, which is harmless: it only reads. */
export async function withinTime<T>(work: Promise<T>, seconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

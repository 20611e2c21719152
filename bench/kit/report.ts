import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { ROOT } from "./scope.ts";

/** Result of a group of measurements. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What a reader must know to interpret the table: how it was measured, and what could not be measured. */
  readonly notes: readonly string[];
}

/** One group: `node bench/main.ts NAME`. */
export interface Group {
  readonly name: string;
  /** The page of its table; `docs/internals/benchmarks.md` unless given. */
  readonly page?: string;
  /** Measures. `say` prints progress; it is not part of the result. */
  run(say: (line: string) => void): Promise<Table>;
}

const PAGE = "docs/internals/benchmarks.md";

/** Text of a table in Markdown, with columns that line up on a screen too. */
export function render(table: Table): string {
  const widths = table.columns.map((column, index) =>
    Math.max(column.length, ...table.rows.map((row) => row[index]?.length ?? 0)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, index) => (cells[index] ?? "").padEnd(width)).join(" | ")} |`;
  return [
    line(table.columns),
    line(widths.map((width) => "-".repeat(width))),
    ...table.rows.map(line),
    "",
    ...table.notes.map((note) => `- ${note}`),
  ].join("\n");
}

/** When and where it was measured: two tables are comparable only if these agree. */
export function circumstances(name: string, loadBefore: number): string {
  const date = new Date().toISOString().slice(0, 10);
  const load = `load ${loadBefore.toFixed(1)} before, ${loadNow().toFixed(1)} after`;
  return `\`npm run bench -- ${name}\`, ${date}, ${process.platform}, ${availableParallelism()} cores, Node ${process.versions.node}, ${load}.`;
}

/** Load average of the last minute. */
export function loadNow(): number {
  return loadavg()[0] ?? 0;
}

/** Replaces the text between a group's marks on its page; the rest of the page stays. */
export function publish({ name, page: file = PAGE }: Group, text: string): void {
  const path = `${ROOT}/${file}`;
  const begin = `<!-- bench:${name} -->`;
  const end = `<!-- /bench:${name} -->`;
  const page = existsSync(path) ? readFileSync(path, "utf8") : "# Benchmarks\n";
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  const block = `${begin}\n\n${text}\n\n${end}`;
  const next =
    from === -1 || to === -1
      ? `${page.trimEnd()}\n\n## ${name}\n\n${block}\n`
      : page.slice(0, from) + block + page.slice(to + end.length);
  writeFileSync(path, next);
}

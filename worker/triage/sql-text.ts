/** The SQL in the configuration, checked as text. D1 knows only numbered parameters; the configuration uses names. */

const WRITES =
  /\b(insert|update|delete|drop|alter|create|attach|detach|pragma|vacuum|reindex|analyze|begin|commit|rollback|savepoint)\b|\breplace\s+into\b/i;

/** Pieces without SQL keywords: strings, quoted names and comments. */
const QUOTED = /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?\*\//g;

/** Why the text is not a single reading statement with these parameters; null when it is. */
export function sqlProblem(sql: string, parameters: readonly string[]): string | null {
  const bare = sql.replaceAll(QUOTED, " ").trim().replace(/;$/, "");
  if (!/^(select|with)\b/i.test(bare)) return "must be a SELECT";
  if (bare.includes(";")) return "must be one statement";
  const write = WRITES.exec(bare)?.[0];
  if (write !== undefined) return `must only read, and has ${write.toUpperCase()}`;
  if (/[?$@]/.test(bare)) return "parameters are written :name";
  const used = new Set([...bare.matchAll(/:(\w+)/g)].map((match) => match[1] ?? ""));
  const unknown = [...used].find((name) => !parameters.includes(name));
  if (unknown !== undefined) return `has no parameter :${unknown}`;
  const idle = parameters.find((name) => !used.has(name));
  return idle === undefined ? null : `does not use its parameter :${idle}`;
}

/** The statement with numbered parameters, and the names in the order of their numbers. */
export function numbered(sql: string): { readonly sql: string; readonly names: readonly string[] } {
  const names: string[] = [];
  const number = (text: string): string =>
    text.replaceAll(/:(\w+)/g, (_, name: string) => {
      if (!names.includes(name)) names.push(name);
      return `?${names.indexOf(name) + 1}`;
    });
  let out = "";
  let at = 0;
  for (const match of sql.matchAll(QUOTED)) {
    // Comments are dropped: the statement is put into brackets, and a comment would hide the closing one.
    out += number(sql.slice(at, match.index)) + (/^(--|\/\*)/.test(match[0]) ? " " : match[0]);
    at = match.index + match[0].length;
  }
  return { sql: (out + number(sql.slice(at))).trim().replace(/\s*;$/, ""), names };
}

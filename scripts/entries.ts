/**
 * Ways into the runner that bypass `runner/base/guarded.ts`: a failure there would end the process that all sessions share.
 * A promise's own `resolve` and `reject` cannot fail, so a timer or listener may call them directly.
 */
const BARE: readonly { readonly found: RegExp; readonly use: string }[] = [
  { found: /\bvoid\s+(?=[\w(#.])(?!0\b)/, use: "guard(…)" },
  { found: /\bsetInterval\(/, use: "every(…)" },
  { found: /\bsetTimeout\((?!(?:resolve|r)\b)/, use: "after(…)" },
  { found: /\bsetImmediate\((?!(?:resolve|r)\b)/, use: "soon(…)" },
  { found: /\.(?:on|once|addListener)\(\s*"[^"]*",(?!\s*(?:guarded\(|resolve\b|reject\b))/, use: "guarded(…)" },
];

/** The file that may do all this. */
export const GUARD = "runner/base/guarded.ts";

/** Each bare entry in a file's source, as `line N: use …`. */
export function bareEntries(source: string): string[] {
  const code = source
    .split("\n")
    .map((line) => line.replace(/\/\/.*$/, "").replace(/^\s*\/?\*.*$/, ""))
    .join("\n");
  return BARE.flatMap(({ found, use }) =>
    [...code.matchAll(new RegExp(found, "g"))].map(
      ({ index }) => `line ${code.slice(0, index).split("\n").length}: use ${use} of ${GUARD}`,
    ),
  );
}

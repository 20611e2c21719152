/**
 * Prints the conformance table and the score: `node router/conformance/score.ts`. A case passes when all its rows pass.
 * Exits with 1 when a case fails.
 */
import { startOpenAiServer } from "../testing/openai-server.ts";
import { casesOf, runRow } from "./case.ts";
import { rows } from "./rows.ts";

const server = await startOpenAiServer();
const lines: string[] = [];
let passed = 0;
let passedAlone = 0;
const cases = casesOf(rows);
for (const [id, group] of cases) {
  const failures: string[] = [];
  for (const row of group) {
    try {
      await runRow(row, server);
    } catch (error) {
      failures.push(`    ${row.title}: ${error instanceof Error ? error.message.split("\n", 1)[0] : String(error)}`);
    }
  }
  const ok = failures.length === 0;
  if (ok) passed++;
  const alone = group.some((row) => row.onlyHere === true);
  if (ok && alone) passedAlone++;
  const count = group.length === 1 ? "" : ` (${group.length} rows)`;
  lines.push(
    `${ok ? "pass" : "FAIL"}  ${id.padEnd(4)} ${alone ? "*" : " "} ${group[0]?.title ?? ""}${count}`,
    ...failures,
  );
}
await server.close();
const alone = [...cases.values()].filter((group) => group.some((row) => row.onlyHere === true)).length;
process.stdout.write(
  `${lines.join("\n")}\n\n${passed} of ${cases.size} cases pass (${rows.length} rows). ` +
    `* no measured gateway passes: ${passedAlone} of ${alone} pass here.\n`,
);
process.exitCode = passed === cases.size ? 0 : 1;

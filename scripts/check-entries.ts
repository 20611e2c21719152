import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { GUARD, bareEntries } from "./entries.ts";

/** `npm run check` runs this: exit code 1, and a line for each way into the runner that is not guarded. */
const root = join(import.meta.dirname, "..");
const files = globSync("runner/**/*.ts", { cwd: root }).filter(
  (file) => !file.includes("node_modules") && !file.endsWith(".test.ts") && file !== GUARD,
);
const findings = files.flatMap((file) =>
  bareEntries(readFileSync(join(root, file), "utf8")).map((finding) => `${file}, ${finding}`),
);
for (const finding of findings) process.stderr.write(`${finding}\n`);
process.stdout.write(`Ways into the runner: ${findings.length === 0 ? "all guarded" : `${findings.length} bare`}.\n`);
process.exitCode = findings.length === 0 ? 0 : 1;

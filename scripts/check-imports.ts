import { join } from "node:path";
import { fence } from "./fence.ts";
import { ROOMS } from "./rooms.ts";

/** `npm run check` runs this: exit code 1, and a line for each import that `rooms.ts` does not allow. */
const { files, findings } = fence(join(import.meta.dirname, ".."), ROOMS);
for (const finding of findings) process.stderr.write(`${finding}\n`);
process.stdout.write(
  `Imports of ${files} files: ${findings.length === 0 ? "as rooms.ts allows" : `${findings.length} findings`}.\n`,
);
process.exitCode = findings.length === 0 ? 0 : 1;

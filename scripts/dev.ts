import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { watch } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../local/build.ts";

/**
 * `npm run dev`: runs `npm start`, and starts it again whenever a source file changes. Sessions continue, because any start
 * on the same state folder continues them.
 */

const WATCHED = ["protocol", "router", "worker", "runner", "local"];

/** Pause after a change, because editors write a file several times. */
const SETTLE_MS = 150;

let child: ChildProcess | null = null;
let settling: NodeJS.Timeout | null = null;
let stopping = false;

function start(): void {
  child = spawn(process.execPath, [join(ROOT, "local", "main.ts")], { cwd: process.cwd(), stdio: "inherit" });
  child.once("exit", (code) => {
    child = null;
    if (stopping) process.exit(code ?? 0);
  });
}

function restart(file: string): void {
  if (settling) clearTimeout(settling);
  settling = setTimeout(() => {
    console.log(`${file} changed; starting again.`);
    if (!child) return start();
    child.once("exit", start);
    child.kill("SIGTERM");
  }, SETTLE_MS);
}

for (const folder of WATCHED) {
  watch(join(ROOT, folder), { recursive: true }, (_event, file) => {
    if (file && /\.(ts|mjs|json|jsonc)$/.test(file) && !file.includes("node_modules") && !file.endsWith(".test.ts"))
      restart(join(folder, file));
  });
}
for (const file of ["wrangler.jsonc", "litellm_config.yaml"]) watch(join(ROOT, file), () => restart(file));

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    stopping = true;
    if (child) child.kill("SIGTERM");
    else process.exit(0);
  });
}
start();

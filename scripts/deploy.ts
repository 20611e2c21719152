import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../local/build.ts";

/**
 * `npm run deploy [-- --env staging] [-- --dry-run]`: `wrangler deploy` with what it should be told. A dry run builds no
 * image, so that it needs neither Docker nor a network; without an environment, the one at the top of `wrangler.jsonc`.
 */
const given = process.argv.slice(2);
const names = (option: RegExp): boolean => given.some((argument) => option.test(argument));
const added = [
  ...(names(/^(-e|--env)(=|$)/) ? [] : ["--env="]),
  ...(names(/^--dry-run$/) && !names(/^--containers-rollout/) ? ["--containers-rollout=none"] : []),
];
const { status } = spawnSync(
  process.execPath,
  [join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js"), "deploy", ...added, ...given],
  { stdio: "inherit", cwd: ROOT },
);
process.exitCode = status ?? 1;

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "../local/build.ts";

/**
 * `npm run deploy [-- --env staging] [-- --dry-run]`: runs `wrangler deploy` with the options it needs. A dry run builds no
 * image, so it needs neither Docker nor a network. Without `--env` it deploys the top level of `wrangler.jsonc`.
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

import { spawnSync } from "node:child_process";
import { hasDocker } from "./cloud.ts";

/** `npm run test:containers`: the stories of the container path, where there is Docker. */
if (!hasDocker()) {
  process.stdout.write("skipped: no Docker\n");
} else {
  const { status } = spawnSync("vitest", ["run", "--project", "containers", ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
  });
  process.exitCode = status ?? 1;
}

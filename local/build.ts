import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** The repository. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Folder of the built Worker: `worker.js`, text modules, `options.json`, `inputs`. */
export const BUILD = join(ROOT, "dist", "worker");

const INPUTS = [
  "worker",
  "router",
  "protocol",
  "wrangler.jsonc",
  "litellm_config.yaml",
  "triage.yaml",
  "package-lock.json",
  "local/build.ts",
];

/**
 * Builds the Worker if its inputs have changed. Wrangler makes the bundle and reads the bindings, both from
 * `wrangler.jsonc`. A later start then needs neither wrangler nor esbuild, which would cost 4.7 s and 740 MB.
 */
export async function buildWorker(): Promise<"built" | "unchanged"> {
  if (isBuilt()) return "unchanged";
  const inputs = fingerprint();
  const stamp = join(BUILD, "inputs");
  rmSync(BUILD, { recursive: true, force: true });
  mkdirSync(BUILD, { recursive: true });
  await promisify(execFile)(
    process.execPath,
    [
      join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js"),
      "deploy",
      "--dry-run",
      "--containers-rollout=none",
      "--outdir",
      BUILD,
    ],
    {
      cwd: ROOT,
      env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
    },
  ).catch((error: unknown) => {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`The Worker could not be built.\n${stdout}${stderr}`);
  });
  const { unstable_getMiniflareWorkerOptions, unstable_readConfig } = await import("wrangler");
  const config = unstable_readConfig({ config: join(ROOT, "wrangler.jsonc") }, { hideWarnings: true });
  // The launcher supplies settings and secrets, and this machine has no containers.
  const { workerOptions } = unstable_getMiniflareWorkerOptions({ ...config, vars: {}, secrets: undefined }, undefined, {
    overrides: { enableContainers: false },
  });
  const { modulesRules: _rules, rootPath: _root, ...options } = workerOptions;
  writeFileSync(join(BUILD, "options.json"), JSON.stringify(options, null, 2));
  writeFileSync(stamp, inputs);
  return "built";
}

/** Whether the built Worker was made from the current inputs. */
function isBuilt(): boolean {
  const stamp = join(BUILD, "inputs");
  return existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint();
}

/**
 * Builds the Worker in a separate process: wrangler's reader takes 200 MB, which would stay in memory for as long as the
 * launcher runs.
 */
export async function buildWorkerApart(): Promise<"built" | "unchanged"> {
  if (isBuilt()) return "unchanged";
  await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url)]).catch((error: unknown) => {
    throw new Error((error as { stderr?: string }).stderr ?? String(error));
  });
  return "built";
}

function fingerprint(): string {
  const hash = createHash("sha256");
  const add = (path: string): void => {
    const stat = statSync(join(ROOT, path), { throwIfNoEntry: false });
    if (!stat) return;
    if (stat.isDirectory()) {
      for (const name of readdirSync(join(ROOT, path)).toSorted()) if (name !== "node_modules") add(join(path, name));
    } else if (!path.endsWith(".test.ts")) {
      hash.update(`${path}\0${stat.size}\0${stat.mtimeMs}\n`);
    }
  };
  for (const path of INPUTS) add(path);
  return hash.digest("hex");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(`Worker: ${await buildWorker()}`);

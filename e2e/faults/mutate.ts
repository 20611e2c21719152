import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../kit/gantry.ts";
import { MUTATIONS } from "./mutations.ts";

const SIMULATION = [
  "node_modules/vitest/vitest.mjs",
  "run",
  "--no-color",
  "--project",
  "unit",
  "worker/session/drive/driver.test.ts",
];
const PRODUCT = { RUNS: "12", SEED: "1", MAX_SECONDS: process.env["MAX_SECONDS"] ?? "300", STOP_AT: "1" };

/**
 * `npm run test:faults -- --mutate`: takes one rule at a time out of a copy of the tree and expects red, from the
 * simulation of the session and from the started product. `ONLY_MUTATION=text` chooses by name, `PARTS=simulation` one of
 * the two.
 */
export function mutate(say: (line: string) => void): boolean {
  const parts = (process.env["PARTS"] ?? "simulation,product").split(",");
  const copy = copyTree();
  let caught = 0;
  const chosen = MUTATIONS.filter(({ name }) => name.includes(process.env["ONLY_MUTATION"] ?? ""));
  for (const { name, file, from, to, env } of chosen) {
    const path = join(copy, file);
    const original = readFileSync(path, "utf8");
    if (original.split(from).length !== 2) throw new Error(`${file} does not hold this once: ${from}`);
    writeFileSync(
      path,
      original.replace(from, () => to),
    );
    say(`${name}`);
    const results = parts.map((part) => {
      const { red, output } =
        part === "simulation"
          ? run(copy, SIMULATION, { HISTORIES: process.env["HISTORIES"] ?? "800" })
          : run(copy, ["e2e/faults/main.ts"], { ...PRODUCT, ...env });
      const why = output.split("\n").find((line) => /AssertionError|Error: acknowledg|^ {2}\S/.test(line)) ?? "";
      say(`  ${part}: ${red ? "red" : "green"}  ${red ? why.trim().slice(0, 140) : ""}`);
      return red;
    });
    if (results.includes(true)) caught += 1;
    writeFileSync(path, original);
  }
  rmSync(copy, { recursive: true, force: true });
  say(`${caught} of ${chosen.length} mutations were noticed`);
  return caught === chosen.length;
}

function run(cwd: string, args: string[], env: Record<string, string>): { red: boolean; output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    maxBuffer: 64_000_000,
  });
  return { red: status !== 0, output: `${stdout}\n${stderr}` };
}

/** The tree as it is, with its own workspaces under the same packages. */
function copyTree(): string {
  const copy = mkdtempSync(join(tmpdir(), "gantry-mutant-"));
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: ROOT });
  for (const file of files.toString().split("\0")) {
    if (file === "" || file.endsWith("node_modules")) continue;
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(ROOT, file), join(copy, file));
  }
  for (const folder of ["node_modules", ...readdirSync(ROOT).map((name) => join(name, "node_modules"))])
    linkPackages(join(ROOT, folder), join(copy, folder));
  return copy;
}

function linkPackages(from: string, to: string): void {
  let names: string[];
  try {
    names = readdirSync(from);
  } catch {
    return;
  }
  mkdirSync(to, { recursive: true });
  for (const name of names) {
    if (name === "@gantry") cpSync(join(from, name), join(to, name), { recursive: true, verbatimSymlinks: true });
    else symlinkSync(join(from, name), join(to, name));
  }
}

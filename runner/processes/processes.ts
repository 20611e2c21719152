import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

/**
 * Finding and killing what a session started. The engine runs every Bash call in a session and process group of its own,
 * so killing the engine's group does not reach them; the marker in their environment does. (A process may clear its
 * environment, so this keeps the machine tidy but is no security boundary.)
 */

/** Name of the environment variable that marks every process of a session, however it detached itself. */
export const MARKER = "GANTRY_SANDBOX";

const run = promisify(execFile);

/** Pids of processes that carry the marker, or, with `prefix`, any marker that starts with it. Never this process. */
export async function findMarked(marker: string, prefix = false): Promise<number[]> {
  return process.platform === "linux" ? findInProc(marker, prefix) : findWithPs(marker, prefix);
}

async function findInProc(marker: string, prefix: boolean): Promise<number[]> {
  const wanted = `${MARKER}=${marker}`;
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found: number[] = [];
  await Promise.all(
    pids.map(async (pid) => {
      if (pid === process.pid) return;
      const environ = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
      if (environ.split("\0").some((line) => (prefix ? line.startsWith(wanted) : line === wanted))) found.push(pid);
    }),
  );
  return found;
}

async function findWithPs(marker: string, prefix: boolean): Promise<number[]> {
  const { stdout } = await run("ps", ["-axEww", "-o", "pid=,command="], { maxBuffer: 64_000_000 });
  const wanted = `${MARKER}=${marker}`;
  return stdout
    .split("\n")
    .filter((line) => line.split(/\s+/).some((word) => (prefix ? word.startsWith(wanted) : word === wanted)))
    .map((line) => Number.parseInt(line.trim(), 10))
    .filter((pid) => pid !== process.pid);
}

/**
 * Kills every process that carries the marker and returns how many there were. Searches again until none is left, because
 * a process may fork between the search and the kill; gives up after twenty rounds.
 */
export async function killMarked(
  marker: string,
  options: { prefix?: boolean; except?: readonly number[] } = {},
): Promise<number> {
  const killed = new Set<number>();
  for (let round = 0; round < 20; round++) {
    const pids = (await findMarked(marker, options.prefix)).filter((pid) => !options.except?.includes(pid));
    if (pids.length === 0) break;
    for (const pid of pids) {
      killed.add(pid);
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It has exited already.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 10 * (round + 1)));
  }
  return killed.size;
}

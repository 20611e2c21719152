import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { MARKER, findMarked, killMarked } from "./processes.ts";

/** These tests start real processes and find them through `/proc`, so they run on Linux only. */
const linux = process.platform === "linux" && existsSync("/usr/bin/setsid");

/** Processes that a test leaves running are killed after it. */
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** Runs a shell script; `said` resolves with the first line of its output. */
function sh(script: string, env: Record<string, string>): { child: ChildProcess; said: Promise<string> } {
  const child = spawn("/bin/sh", ["-c", script], {
    env: { PATH: "/usr/bin:/bin", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const said = new Promise<string>((resolve) => child.stdout?.setEncoding("utf8").once("data", resolve));
  return { child, said };
}

/** Whether a process has exited, including one whose parent has not noticed yet. */
function isGone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /, "")
      .startsWith("Z");
  } catch {
    return true;
  }
}

async function exitOf(child: ChildProcess): Promise<NodeJS.Signals | number | null> {
  return (
    child.signalCode ??
    child.exitCode ??
    new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)))
  );
}

const newMarker = (): string => `test-${randomBytes(8).toString("hex")}:`;

describe.skipIf(!linux)("processes of a session", () => {
  it("kills processes that detached themselves, and leaves all others alone", async () => {
    const prefix = newMarker();
    const [mine, other] = [`${prefix}sesn_1`, `${prefix}sesn_2`];
    // A grandchild in its own session and process group, whose parent has exited: what a Bash call leaves behind.
    const detached = sh("setsid sh -c 'echo $$; exec sleep 60' & wait", { [MARKER]: mine });
    const plain = sh("echo up; exec sleep 60", { [MARKER]: mine });
    const neighbour = sh("echo up; exec sleep 60", { [MARKER]: other });
    const longer = sh("echo up; exec sleep 60", { [MARKER]: `${mine}1` });
    const stranger = sh("echo up; exec sleep 60", {});
    const grandchild = Number(await detached.said);
    await Promise.all([plain, neighbour, longer, stranger].map((started) => started.said));

    expect(new Set(await findMarked(mine))).toEqual(new Set([detached.child.pid, grandchild, plain.child.pid]));
    expect(await killMarked(mine)).toBe(3);
    expect(await exitOf(plain.child)).toBe("SIGKILL");
    expect(await exitOf(detached.child)).toBe("SIGKILL");
    expect(isGone(grandchild)).toBe(true);
    expect(await findMarked(mine)).toEqual([]);
    for (const { child } of [neighbour, longer, stranger]) {
      expect(child.exitCode).toBeNull();
      expect(isGone(child.pid ?? 0)).toBe(false);
    }
  });

  it("finds by prefix what any session of a state folder left behind", async () => {
    const prefix = newMarker();
    const ours = ["sesn_1", "sesn_2"].map((id) => sh("echo up; exec sleep 60", { [MARKER]: prefix + id }));
    const theirs = sh("echo up; exec sleep 60", { [MARKER]: `x${prefix}sesn_3` });
    await Promise.all([...ours, theirs].map((started) => started.said));
    expect(await findMarked(prefix)).toEqual([]);
    expect(await killMarked(prefix, { prefix: true })).toBe(2);
    for (const { child } of ours) expect(await exitOf(child)).toBe("SIGKILL");
    expect(isGone(theirs.child.pid ?? 0)).toBe(false);
  });

  it("spares excepted processes", async () => {
    const marker = newMarker();
    const [one, two] = [1, 2].map(() => sh("echo up; exec sleep 60", { [MARKER]: marker }));
    await Promise.all([one?.said, two?.said]);
    const spared = one?.child.pid ?? 0;
    expect(await killMarked(marker, { except: [spared] })).toBe(1);
    expect(isGone(spared)).toBe(false);
    expect(await findMarked(marker)).toEqual([spared]);
  });

  it("kills a process tree that keeps forking", async () => {
    const marker = newMarker();
    const { said, child } = sh("echo up; while :; do sleep 30 & sleep 0.002; done", { [MARKER]: marker });
    await said;
    await killMarked(marker);
    expect(await exitOf(child)).toBe("SIGKILL");
    expect(await findMarked(marker)).toEqual([]);
  });

  it("finds nothing when nothing is running", async () => {
    expect(await killMarked(newMarker())).toBe(0);
  });
});

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockState } from "./lock.ts";

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "gantry-lock-"))));
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

/** Another process that takes the lock, does what it is given, says `held` or `refused`, and stays. */
async function other(meanwhile = ""): Promise<{ child: ChildProcess; said: string }> {
  const script = `
    const { lockState } = await import(${JSON.stringify(join(import.meta.dirname, "lock.ts"))});
    const lock = lockState(${JSON.stringify(folder)});
    ${meanwhile}
    console.log(lock ? "held" : "refused");
    setInterval(() => {}, 1_000)`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const said = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding("utf8").once("data", (text: string) => resolve(text.trim()));
    child.once("close", () => reject(new Error("it ended without a word")));
  });
  return { child, said };
}

const exited = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) =>
    (child.exitCode ?? child.signalCode) === null ? child.once("exit", () => resolve()) : resolve(),
  );

describe("the lock of a state folder", () => {
  it("is given once in a process, and again when it was released", () => {
    const lock = lockState(folder);
    expect(lock).not.toBeNull();
    expect(lockState(folder)).toBeNull();
    lock?.release();
    const again = lockState(folder);
    expect(again).not.toBeNull();
    again?.release();
  });

  it("is refused to every other process while one has it", async () => {
    const lock = lockState(folder);
    expect((await other()).said).toBe("refused");
    lock?.release();
    expect((await other()).said).toBe("held");
    expect(lockState(folder)).toBeNull();
    expect((await other()).said).toBe("refused");
  });

  it.each(["SIGKILL", "SIGTERM"] as const)("is free as soon as its owner has died of %s", async (signal) => {
    const { child, said } = await other();
    expect(said).toBe("held");
    expect(lockState(folder)).toBeNull();
    child.kill(signal);
    await exited(child);
    const lock = lockState(folder);
    expect(lock).not.toBeNull();
    lock?.release();
  });

  it("is not inherited by a child that outlives its owner", async () => {
    // It goes on for as long as the folder is there.
    const loop = `echo $$ > ${folder}/child; while [ -e ${folder}/child ]; do sleep 0.02; done`;
    const { child, said } = await other(`
      const { spawn } = await import("node:child_process");
      const { existsSync } = await import("node:fs");
      spawn("/bin/sh", ["-c", ${JSON.stringify(loop)}], { stdio: "ignore", detached: true }).unref();
      while (!existsSync(${JSON.stringify(join(folder, "child"))})) await new Promise(setImmediate);`);
    expect(said).toBe("held");
    child.kill("SIGKILL");
    await exited(child);
    const lock = lockState(folder);
    expect(lock).not.toBeNull();
    process.kill(Number(readFileSync(join(folder, "child"), "utf8")), 0); // throws when it is gone
    lock?.release();
  });

  it("is one for each folder", () => {
    const [one, two] = [folder, join(folder, "..")].map((path) => mkdtempSync(join(path, "gantry-lock-")));
    const locks = [one, two].map((path) => lockState(path ?? ""));
    expect(locks.every((lock) => lock !== null)).toBe(true);
    for (const lock of locks) lock?.release();
    rmSync(two ?? "", { recursive: true });
  });

  it("of a folder that is not there is an error, not a refusal", () => {
    expect(() => lockState(join(folder, "missing"))).toThrow(/unable to open/);
  });
});

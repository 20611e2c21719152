import { spawn } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { Gantry, ROOT, rows, until } from "../kit/gantry.ts";

/** `npm start` as a whole: what is sent to npm reaches the product, and nothing is left when npm is killed. */

const gantry = Gantry.idle();
afterEach(() => gantry.remove());

async function npmStart(): Promise<{ pid: number; output: () => string; exited: () => boolean }> {
  const child = spawn("npm", ["start"], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"] ?? "", HOME: gantry.state, GANTRY_STATE: gantry.state, PORT: "0" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let exited = false;
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
  child.on("exit", () => (exited = true));
  await until(() => /Gantry is ready at/.test(output) || exited, "npm start to be ready");
  expect(output).toMatch(/Gantry is ready at http:\/\/127\.0\.0\.1:\d+/);
  return { pid: child.pid ?? 0, output: () => output, exited: () => exited };
}

describe("npm start", () => {
  it.each(rows(["SIGINT", "SIGKILL", "SIGTERM"] as const, 2))("that gets %s ends everything", async (signal) => {
    const npm = await npmStart();
    expect(gantry.processes()).toMatchObject({
      launcher: [expect.any(Number)],
      workerd: [expect.any(Number)],
      runner: [expect.any(Number)],
    });
    process.kill(npm.pid, signal);
    await until(() => npm.exited() && Object.values(gantry.processes()).flat().length === 0, "everything to be gone");
    if (signal !== "SIGKILL") expect(npm.output()).toContain("stopping");
  });
});

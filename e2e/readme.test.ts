import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, ROOT } from "./kit/gantry.ts";

/** README's examples do what README says, typed as they stand there. */

const run = promisify(execFile);
const README = readFileSync(join(ROOT, "README.md"), "utf8");

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start();
});
afterAll(() => gantry.remove());

/** Code of the first block of a language below a heading, with this installation's address. */
function exampleOf(heading: string, language: string): string {
  const section = README.split(`## ${heading}\n`)[1] ?? "";
  const code = section.split(`\`\`\`${language}\n`)[1]?.split("\n```")[0] ?? "";
  return code.replaceAll("http://127.0.0.1:8787", gantry.url);
}

const environment = () => ({ PATH: process.env["PATH"] ?? "", HOME: gantry.state, KEY: gantry.key });

describe("README", () => {
  it("sends four requests that are answered", async () => {
    const commands = exampleOf("Four requests", "sh").replace(/^export KEY=.*$/m, "");
    const { stdout } = await run("bash", ["-ec", commands], { env: environment() });
    expect(stdout.match(/"type":"result"/g)).toHaveLength(3);
    expect(stdout).toContain("hello.js");
    expect(stdout).toContain('"type":"message"');
  });

  it("reads an answer with Anthropic's SDK", async () => {
    const program = exampleOf("The SDK", "ts");
    const { stdout } = await run(process.execPath, ["--input-type=module-typescript", "--eval", program], {
      cwd: ROOT,
      env: environment(),
    });
    expect(stdout).toContain("7 * 6 = 42");
  });
});

import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, ROOT, script } from "./kit/gantry.ts";

/** Each program in `examples/` runs as its head comment says, without a provider's key. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start();
});
afterAll(() => gantry.remove());

const FOLDER = join(ROOT, "examples");
const RUN_MS = 60_000;

interface Ran {
  readonly code: unknown;
  readonly output: string;
  readonly problems: string;
}

interface Given {
  /** What is typed. */
  readonly input?: string;
  readonly args?: readonly string[];
  readonly env?: Record<string, string>;
}

/** Runs an example as a reader does, with nothing in its environment but what is given. */
function run(name: string, { input = "", args = [], env = {} }: Given = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(FOLDER, name), ...args],
      {
        cwd: ROOT,
        env: { PATH: process.env["PATH"] ?? "", GANTRY_URL: gantry.url, GANTRY_API_KEY: gantry.key, ...env },
        timeout: RUN_MS,
      },
      (error, output, problems) => resolve({ code: error ? (error.code ?? error.signal) : 0, output, problems }),
    );
    child.stdin?.end(input);
  });
}

/** The name, what is typed, and lines of the output in their order. */
const EXAMPLES: [name: string, input: string, lines: RegExp[]][] = [
  [
    "session.ts",
    "",
    [
      /^Session: sesn_\w+$/,
      /^Tool: Write .*hello\.js/,
      /^Tool: Bash .*node hello\.js/,
      /^Agent: I wrote hello\.js and ran `node hello\.js`/,
      /^Ended: end_turn$/,
      /^Tokens: [1-9]\d* in, [1-9]\d* out$/,
    ],
  ],
  [
    "approvals.ts",
    "y\n",
    [/^Allow Bash .*"node --version".* \[y\/n\] Agent: I ran `node --version`/, /^v\d+\./, /^Ended: end_turn$/],
  ],
  [
    "approvals.ts",
    "n\n",
    [/^Allow Bash .*"node --version".* \[y\/n\] Agent: I tried to run/, /^The user said no\.$/, /^Ended: end_turn$/],
  ],
  [
    "custom-tool.ts",
    "",
    [
      /^Agent: I look it up\.$/,
      /^Tool: stock {"item":"apples"} -> 12 apples in stock$/,
      /^Agent: Yes, we do\.$/,
      /^Ended: end_turn$/,
    ],
  ],
  [
    "mcp-server.ts",
    "",
    [/^Agent: I ask the shop\.$/, /^Shop: One apple costs 3 euros\.$/, /^Agent: That is all\.$/, /^Ended: end_turn$/],
  ],
  [
    "files.ts",
    "",
    [/^Uploaded: names\.txt \(16 bytes\)$/, /^Ended: end_turn$/, /^Made: sorted\.txt$/, /^Alice$/, /^Bob$/, /^Carol$/],
  ],
  [
    "openai.ts",
    "",
    [
      /^Models: .*demo\/scripted/,
      /^Answer: 7 \* 6 = 42$/,
      /^Tokens: [1-9]\d* in, [1-9]\d* out$/,
      /^An unknown model: 404 .*no\/such-model/,
    ],
  ],
];

describe("an example", () => {
  it.concurrent.each(EXAMPLES)("%s, given %j, prints what it shows", async (name, input, lines) => {
    const { code, output, problems } = await run(name, { input });
    expect({ code, problems }, output).toEqual({ code: 0, problems: "" });
    let rest = output.split("\n");
    for (const line of lines) {
      const at = rest.findIndex((text) => line.test(text));
      expect(at, `${line} in:\n${output}`).toBeGreaterThanOrEqual(0);
      rest = rest.slice(at + 1);
    }
  });

  it.each(["session.ts", "openai.ts"])("%s fails with a wrong key, and asks for a missing one", async (name) => {
    const keys = ["wrong", ""];
    const [wrong, none] = await Promise.all(keys.map((GANTRY_API_KEY) => run(name, { env: { GANTRY_API_KEY } })));
    expect(wrong).toMatchObject({ code: 1, problems: expect.stringContaining("401") });
    expect(none).toMatchObject({ code: 1, problems: expect.stringContaining("Set GANTRY_API_KEY") });
  });

  it("session.ts fails when its run does, and says why", async () => {
    const { code, output, problems } = await run("session.ts", { args: [script({ fail: { status: 401 } })] });
    expect({ code, problems }).toEqual({ code: 1, problems: expect.stringContaining("Scripted failure: 401") });
    expect(output).toContain("Ended: retries_exhausted");
  });

  it("of every name in the folder is tested", () => {
    const programs = readdirSync(FOLDER).filter((name) => name.endsWith(".ts"));
    expect(programs).toEqual([...new Set(EXAMPLES.map(([name]) => name))].toSorted());
  });
});

import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, ROOT } from "./gantry.ts";

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

/** Runs an example as a reader does, with nothing in its environment but what is given. */
function run(name: string, input = "", env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [join(FOLDER, name)],
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
    [/Allow Bash .*node --version.*\[y\/n\]/, /^Agent: I ran `node --version`/, /^v\d+\./, /^Ended: end_turn$/],
  ],
  ["approvals.ts", "n\n", [/Allow Bash .*node --version.*\[y\/n\]/, /The user said no\./, /^Ended: end_turn$/]],
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
  ["files.ts", "", [/^Uploaded: names\.txt \(16 bytes\)$/, /^Made: sorted\.txt$/, /^Alice$/, /^Bob$/, /^Carol$/]],
  [
    "openai.ts",
    "",
    [
      /^Models: .*demo\/\*/,
      /^Answer: 7 \* 6 = 42$/,
      /^Tokens: [1-9]\d* in, [1-9]\d* out$/,
      /^An unknown model is a 400: .*no\/such-model/,
    ],
  ],
];

describe("an example", () => {
  it.each(EXAMPLES)("%s, answered %j, says what it shows", async (name, input, lines) => {
    const { code, output, problems } = await run(name, input);
    expect({ code, problems }, output).toEqual({ code: 0, problems: "" });
    let rest = output.split("\n");
    for (const line of lines) {
      const at = rest.findIndex((text) => line.test(text));
      expect(at, `${line} in:\n${output}`).toBeGreaterThanOrEqual(0);
      rest = rest.slice(at + 1);
    }
  });

  it.each(["session.ts", "openai.ts"])("%s fails with a wrong key, and says that it needs one", async (name) => {
    const wrong = await run(name, "", { GANTRY_API_KEY: "wrong" });
    expect([wrong.code, wrong.problems]).toEqual([1, expect.stringContaining("401")]);
    const none = await run(name, "", { GANTRY_API_KEY: "" });
    expect([none.code, none.problems]).toEqual([1, expect.stringContaining("Set GANTRY_API_KEY")]);
  });

  it("is tested, each of them", () => {
    const programs = readdirSync(FOLDER).filter((name) => name.endsWith(".ts"));
    expect(programs).toEqual([...new Set(EXAMPLES.map(([name]) => name))].toSorted());
  });
});

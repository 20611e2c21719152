import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ROOT } from "../kit/gantry.ts";
import { Cloud } from "./cloud.ts";

/** Images and sizes to choose from, with the very lines that docs/deploy.md gives. */

interface Config {
  readonly containers: unknown;
  readonly vars: Record<string, unknown>;
}

/** JSON with comments on lines of their own and commas at the end, as `wrangler.jsonc` has it. */
function parse(text: string): Config {
  const bare = text.replaceAll(/^\s*\/\/.*$/gm, "").replaceAll(/,(\s*[\]}])/g, "$1");
  return JSON.parse(bare) as Config;
}

describe("an environment's sandbox type", () => {
  // Beside `wrangler.jsonc`: its paths are relative.
  const path = join(ROOT, `.wrangler-types-${process.pid}.jsonc`);
  let cloud: Cloud;
  beforeAll(async () => {
    const config = parse(readFileSync(join(ROOT, "wrangler.jsonc"), "utf8"));
    const told = /```jsonc\n([\s\S]*?)```/.exec(readFileSync(join(ROOT, "docs", "deploy.md"), "utf8"))?.[1] ?? "";
    const { containers, vars } = parse(told);
    writeFileSync(path, JSON.stringify({ ...config, containers, vars: { ...config.vars, ...vars } }));
    cloud = await Cloud.start({}, path);
  });
  afterAll(async () => {
    await cloud.stop();
    rmSync(path, { force: true });
  });

  const environment = (metadata: Record<string, string>): Promise<Response> =>
    cloud.post("/v1/environments", { name: "of a type", metadata });
  const compiler = async (metadata: Record<string, string>): Promise<string> => {
    const { id } = (await (await environment(metadata)).json()) as { id: string };
    const session = (await (await cloud.post("/v1/sessions", { environment_id: id })).json()) as { id: string };
    return cloud.shell(session.id, "command -v gcc || echo none");
  };

  it("decides which image a session's container has; without one it is the first", async () => {
    expect(await compiler({ sandbox_type: "large" })).toBe("/usr/bin/gcc");
    expect(await compiler({})).toBe("none");
    const { sessionId } = await cloud.run({ prompt: "What is 7 * 6?" });
    expect(await cloud.shell(sessionId, "command -v gcc || echo none")).toBe("none");
  });

  it("that is not there is refused, with those that are", async () => {
    const response = await environment({ sandbox_type: "huge" });
    expect([response.status, await response.text()]).toEqual([
      400,
      expect.stringMatching(/metadata\.sandbox_type: there is no \\"huge\\" here, only standard, large/),
    ]);
  });
});

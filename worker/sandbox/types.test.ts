import { RequestRefused } from "@gantry/protocol/error.ts";
import { describe, expect, it } from "vitest";
import type { Env } from "../base/env.ts";
import { checkSandboxType, sandboxType } from "./types.ts";

const standard = { image: "plain", instance: "standard-1" };
const large = { image: "compilers", instance: "standard-4" };
const envOf = (types: unknown): Env => ({ GANTRY_SANDBOX_TYPES: types }) as unknown as Env;
const both = envOf({ standard, large });

describe("the type of a sandbox", () => {
  it.each<[name: string, env: Env, metadata: Record<string, string>, type: unknown]>([
    ["the first when none is named", both, {}, standard],
    ["the named one", both, { sandbox_type: "large" }, large],
    ["the first again when the name is removed", both, { sandbox_type: "" }, standard],
    ["none when the deployment has no types", envOf(undefined), {}, null],
  ])("is %s", (_name, env, metadata, type) => {
    expect(() => checkSandboxType(env, metadata)).not.toThrow();
    expect(sandboxType(env, metadata)).toEqual(type);
  });

  it.each<[name: string, env: Env, says: RegExp]>([
    ["that does not exist", both, /there is no "huge" here, only standard, large/],
    ["when the deployment has none", envOf(undefined), /no types of sandbox to choose from here/],
  ])("%s is refused by its field", (_name, env, says) => {
    expect.assertions(2);
    try {
      checkSandboxType(env, { sandbox_type: "huge" });
    } catch (error) {
      expect(error).toBeInstanceOf(RequestRefused);
      expect(JSON.stringify((error as RequestRefused).error)).toMatch(
        new RegExp(`metadata.sandbox_type.*${says.source.replaceAll('"', String.raw`\\"`)}`),
      );
    }
  });

  it("that the deployment no longer has keeps a container from starting, with a clear error", () => {
    expect(() => sandboxType(both, { sandbox_type: "gone" })).toThrow('"gone", which no longer exists');
  });

  it("in the wrong form is an error of the deployment", () => {
    expect(() => sandboxType(envOf({ standard: { image: "plain", instance: "giant" } }), {})).toThrow(/instance/);
  });
});

import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { canSeal, seal, unseal } from "./seal.ts";

const key = (id: string): string => `${id}:${randomBytes(32).toString("base64")}`;

describe("sealed secrets", () => {
  const [one, two] = [key("one"), key("two")];
  const env = { GANTRY_ENCRYPTION_KEY: one };

  it("open again for the purpose they were sealed for, and never look the same", async () => {
    const sealed = await seal(env, "resource|sesn_1", "ghp_secret ü");
    expect(sealed).not.toContain("ghp");
    expect(sealed).not.toBe(await seal(env, "resource|sesn_1", "ghp_secret ü"));
    expect(await unseal(env, "resource|sesn_1", sealed)).toBe("ghp_secret ü");
  });

  it("survive a change of the key while the old key is still listed", async () => {
    const sealed = await seal(env, "x", "secret");
    const both = { GANTRY_ENCRYPTION_KEY: ` ${two} , ${one}` };
    expect(await unseal(both, "x", sealed)).toBe("secret");
    expect(await seal(both, "x", "secret")).toMatch(/^v1\.two\./);
    await expect(unseal({ GANTRY_ENCRYPTION_KEY: two }, "x", sealed)).rejects.toThrow('no key "one"');
  });

  it.each<[string, (sealed: string) => Promise<string>]>([
    ["for another purpose", (sealed) => unseal(env, "resource|sesn_2", sealed)],
    ["after a change", (sealed) => unseal(env, "x", sealed.slice(0, -2) + (sealed.endsWith("AA") ? "BB" : "AA"))],
    ["with another key of the same name", (sealed) => unseal({ GANTRY_ENCRYPTION_KEY: key("one") }, "x", sealed)],
    ["when the text is not sealed", () => unseal(env, "x", "ghp_secret")],
  ])("do not open %s", async (_name, open) => {
    await expect(open(await seal(env, "x", "secret"))).rejects.toThrow();
  });

  it.each([
    ["nothing", ""],
    ["a text that is not a key", "hello"],
    ["a short key", "a:aGVsbG8="],
    ["a key without a name", one.slice(4)],
  ])("cannot be made with %s", async (_name, GANTRY_ENCRYPTION_KEY) => {
    expect(canSeal({ GANTRY_ENCRYPTION_KEY })).toBe(false);
    await expect(seal({ GANTRY_ENCRYPTION_KEY }, "x", "secret")).rejects.toThrow("GANTRY_ENCRYPTION_KEY");
  });
});

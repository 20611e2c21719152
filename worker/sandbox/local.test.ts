import { describe, expect, it } from "vitest";
import { localSandbox } from "./local.ts";
import { NotDestroyed } from "./sandbox.ts";

const sandboxWith = (answer: () => Promise<Response>) =>
  localSandbox("sesn_1", { url: "http://127.0.0.1:1", token: "t", fetch: answer as typeof fetch }, "http://models");

describe("sec/H2 the end of a sandbox on this machine", () => {
  it("is reported when the runner has removed the files", async () => {
    await expect(sandboxWith(() => Promise.resolve(Response.json({ deleted: "sesn_1" }))).destroy()).resolves.toBe(
      undefined,
    );
  });

  it.each<[string, () => Promise<Response>]>([
    ["does not answer", () => Promise.reject(new Error("refused"))],
    ["could not remove them", () => Promise.resolve(new Response("{}", { status: 500 }))],
  ])("is not reported when the runner %s", async (_name, answer) => {
    await expect(sandboxWith(answer).destroy()).rejects.toThrow(NotDestroyed);
  });
});

import { describe, expect, it } from "vitest";
import type { Env } from "../base/env.ts";
import { fetchGit } from "./git.ts";

/** A stand-in for the platform's outbound binding. It records requests. */
function wayOut(answer: (url: URL) => Response) {
  const asked: { url: string; authorization: string | null; redirect: string | undefined }[] = [];
  const PUBLIC_NET = {
    fetch: (url: string, init: RequestInit) => {
      const headers = new Headers(init.headers);
      asked.push({ url, authorization: headers.get("authorization"), redirect: init.redirect });
      return Promise.resolve(answer(new URL(url)));
    },
  };
  return { asked, env: { PUBLIC_NET } as unknown as Env };
}
const moved = (to: string): Response => new Response(null, { status: 301, headers: { location: to } });
const request = new Request("http://worker/sandbox/git/x/info/refs");

describe("a fetch on behalf of a sandbox", () => {
  it("goes through the binding that reaches public addresses, with the credential", async () => {
    const { asked, env } = wayOut(() => new Response("refs", { headers: { "set-cookie": "a=b", etag: '"1"' } }));
    const response = await fetchGit(env, request, "https://github.com/o/r", "info/refs", "secret");
    expect([response.status, await response.text()]).toEqual([200, "refs"]);
    expect(response.headers.get("set-cookie")).toBe(null);
    expect(asked).toEqual([
      {
        url: "https://github.com/o/r/info/refs?service=git-upload-pack",
        authorization: `Basic ${btoa("x-access-token:secret")}`,
        redirect: "manual",
      },
    ]);
  });

  it("follows redirects on the same host", async () => {
    const { asked, env } = wayOut((url) =>
      url.pathname.startsWith("/old") ? moved("/new/r/info/refs") : new Response("refs"),
    );
    const response = await fetchGit(env, request, "https://github.com/old/r", "info/refs", null);
    expect(await response.text()).toBe("refs");
    expect(asked.map(({ url }) => url)).toEqual([
      "https://github.com/old/r/info/refs?service=git-upload-pack",
      "https://github.com/new/r/info/refs",
    ]);
  });

  it.each([
    ["another host", "https://evil.example/r/info/refs"],
    ["the same host without TLS", "http://github.com/o/r/info/refs"],
    ["another port", "https://github.com:8443/o/r/info/refs"],
    ["this machine", "http://127.0.0.1/"],
    ["nowhere", "http://"],
    ["itself forever", "/o/r/info/refs?service=git-upload-pack"],
  ])("does not follow to %s", async (_name, to) => {
    const { asked, env } = wayOut(() => moved(to));
    expect((await fetchGit(env, request, "https://github.com/o/r", "info/refs", "secret")).status).toBe(502);
    expect(asked.every(({ url }) => url.startsWith("https://github.com/"))).toBe(true);
  });
});

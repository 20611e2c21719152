import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { expect, it } from "vitest";
import { PUBLIC_NET } from "./public-net.ts";

it("does not reach what is private, by whatever name", async () => {
  let hits = 0;
  const server = createServer((_request, response) => {
    hits += 1;
    response.end("here");
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address() as AddressInfo;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      handleStructuredLogs: () => {},
      workers: [
        {
          name: "probe",
          modules: true,
          script: `export default { async fetch(request, env) {
            const { by, url } = await request.json();
            try { return new Response(await (await (by === "PUBLIC_NET" ? env.PUBLIC_NET.fetch(url) : fetch(url))).text()); }
            catch (error) { return new Response(String(error), { status: 502 }); }
          } }`,
          serviceBindings: { PUBLIC_NET },
        },
      ],
    }),
  );
  const ask = async (by: string, host: string): Promise<string> => {
    const body = JSON.stringify({ by, url: `http://${host}:${port}/` });
    return (await miniflare.dispatchFetch("http://probe/", { method: "POST", body })).text();
  };
  try {
    // Without the binding it would: what is refused below is refused by the binding.
    expect(await ask("fetch", "127.0.0.1")).toBe("here");
    expect(hits).toBe(1);
    // Of this machine's own addresses only those that are private: a public one is no secret.
    const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
    const hosts = ["127.0.0.1", "localhost", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]"];
    for (const { address } of own) if (/^(10|192\.168|172\.(1[6-9]|2\d|3[01]))\./.test(address)) hosts.push(address);
    for (const host of hosts) expect(await ask("PUBLIC_NET", host)).not.toBe("here");
    expect(hits).toBe(1);
  } finally {
    await miniflare.dispose();
    server.close();
  }
});

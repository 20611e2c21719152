import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare, convertV4MiniflareOptions } from "miniflare";
import { expect, it } from "vitest";
import { PUBLIC_NET, directNet } from "./nets.ts";

/** A Worker with ways out, in a runtime of its own. */
function probe(script: string, serviceBindings: Record<string, ReturnType<typeof directNet>>): Miniflare {
  return new Miniflare(
    convertV4MiniflareOptions({
      handleStructuredLogs: () => {},
      workers: [{ name: "probe", modules: true, script, serviceBindings }],
    }),
  );
}

it("does not reach what is private, by whatever name", async () => {
  let hits = 0;
  const server = createServer((_request, response) => {
    hits += 1;
    response.end("here");
  });
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address() as AddressInfo;
  const script = `export default { async fetch(request, env) {
    const { by, url } = await request.json();
    try { return new Response(await (await (by === "PUBLIC_NET" ? env.PUBLIC_NET.fetch(url) : fetch(url))).text()); }
    catch (error) { return new Response(String(error), { status: 502 }); }
  } }`;
  const miniflare = probe(script, { PUBLIC_NET });
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

it("reaches a provider directly, with TLS, and trusts whom the machine's owner says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "gantry-nets-"));
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, CERTIFICATE);
  const seen: string[] = [];
  const server = createTlsServer({ key: KEY, cert: CERTIFICATE }, (request, response) => {
    seen.push(`${request.method} ${request.headers.host} ${request.url}`);
    request.resume().on("end", () => response.end("a provider"));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const script = `export default { async fetch(request, env) {
    const net = new URL(request.url).pathname === "/known" ? env.KNOWN : env.UNKNOWN;
    try { return await net.fetch("https://localhost:${port}/v1/messages?beta=true", { method: "POST", body: "x".repeat(200_000) }); }
    catch (error) { return new Response(String(error), { status: 502 }); }
  } }`;
  const miniflare = probe(script, { KNOWN: directNet(caFile), UNKNOWN: directNet(join(folder, "none.pem")) });
  try {
    expect(await (await miniflare.dispatchFetch("http://probe/known")).text()).toBe("a provider");
    expect((await miniflare.dispatchFetch("http://probe/unknown")).status).toBe(502);
    expect(seen).toEqual([`POST localhost:${port} /v1/messages?beta=true`]);
  } finally {
    await miniflare.dispose();
    server.close();
    rmSync(folder, { recursive: true });
  }
});

/** Of a server that exists in this test alone. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUCciB4CJ32moi1CYKNgxWAemup5QwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTIxMTI1OFoYDzIxMjYxMDI4
MjExMjU4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATq40qp5k9q7EMgDGs8q9DV/M6tLhtakacggGF95Zwq88QM5YVSksMf
VZjsnePH2kr3jhm/PoK6wIF1wQL2pPIPo28wbTAdBgNVHQ4EFgQUZv4Ns3g1QOKp
m3ddDrAeknsxm7owHwYDVR0jBBgwFoAUZv4Ns3g1QOKpm3ddDrAeknsxm7owGgYD
VR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDRwAwRAIgFXBGLKKni13Ha/jY/I9gXfalFKINcxgYlq5/qka0EmwCIFw7
JlOPA74JHjlaVX6iIRmi5OcC+T/rjp0zoJqBgsEN
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg8CJ0avck7KSlgrzI
FtUxMrG9nSYO/SHZZj8aCLwWotihRANCAATq40qp5k9q7EMgDGs8q9DV/M6tLhta
kacggGF95Zwq88QM5YVSksMfVZjsnePH2kr3jhm/PoK6wIF1wQL2pPIP
-----END PRIVATE KEY-----`;

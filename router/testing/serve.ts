/** A router behind a real Node HTTP server, for clients that need a socket. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import type { Caller } from "../request/caller.ts";
import type { Router } from "../router.ts";

const CALLER: Caller = { account: "acct_test", keyId: "key_test", sessionId: null };

export interface ServedRouter {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  close(): Promise<void>;
}

export async function serveRouter(router: Router): Promise<ServedRouter> {
  const doors: Record<string, (request: Request) => Promise<Response>> = {
    "/v1/messages": (request) => router.messages(request, CALLER),
    "/v1/messages/count_tokens": (request) => router.countTokens(request, CALLER),
    "/v1/models": (request) => router.models(request, CALLER),
    "/v1/chat/completions": (request) => router.chatCompletions(request, CALLER),
  };
  const server = createServer((incoming, outgoing) => {
    const gone = new AbortController();
    outgoing.on("close", () => {
      if (!outgoing.writableFinished) gone.abort();
    });
    const url = new URL(incoming.url ?? "/", "http://127.0.0.1");
    const hasBody = incoming.method === "POST";
    const request = new Request(url, {
      method: incoming.method ?? "GET",
      headers: Object.entries(incoming.headers).map(([name, value]): [string, string] => [name, String(value)]),
      body: hasBody ? (Readable.toWeb(incoming) as ReadableStream<Uint8Array>) : null,
      signal: gone.signal,
      ...(hasBody ? { duplex: "half" } : {}),
    });
    const door = doors[url.pathname] ?? (async () => new Response("not here", { status: 404 }));
    door(request)
      .then((response) => {
        outgoing.writeHead(response.status, Object.fromEntries(response.headers));
        if (response.body === null) return void outgoing.end();
        const body = Readable.fromWeb(response.body as unknown as NodeReadableStream);
        outgoing.on("close", () => body.destroy());
        body.on("error", () => outgoing.destroy()).pipe(outgoing);
      })
      .catch(() => outgoing.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

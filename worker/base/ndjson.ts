/** Lines of a text stream, without their newlines. An empty line is a heartbeat and is yielded as "". */
export async function* toLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}

/**
 * Headers of a stream that must arrive as it is written. Cloudflare's edge, and Miniflare likewise, compresses text/plain
 * when the client allows it, and a compressor holds back short pieces. `no-transform` and the encoding `identity` prevent
 * both.
 */
export const STREAM_HEADERS = {
  "cache-control": "no-store, no-transform",
  "content-encoding": "identity",
  "x-content-type-options": "nosniff",
};

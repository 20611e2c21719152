/** Lines of a stream of text, without the newline. An empty line is given as "": it is a heartbeat. */
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
 * Headers of a stream that must arrive as it is written. Cloudflare's edge, and Miniflare after its example, compresses
 * text/plain when the client allows it, and a compressor holds back what is short: `no-transform` and an encoding of
 * its own that says "none" keep both away.
 */
export const STREAM_HEADERS = {
  "cache-control": "no-store, no-transform",
  "content-encoding": "identity",
  "x-content-type-options": "nosniff",
};

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

const encoder = new TextEncoder();

/**
 * A response body out of pieces of text, made as the reader asks for them. When the reader goes away the generator is
 * ended, which frees what it holds.
 */
export function toBody(pieces: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await pieces.next();
        if (next.done) controller.close();
        else controller.enqueue(encoder.encode(next.value));
      },
      async cancel() {
        await pieces.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}

import { isUtf8 } from "node:buffer";
import type { PromptBlock } from "@gantry/protocol/content.ts";
import { ResourceUnavailable } from "./unavailable.ts";
import type { WorkerClient } from "./worker-client.ts";

/** Largest document or image that a model's API accepts. */
const MAX_BYTES = 32 * 1024 * 1024;

/** A prompt block that the engine accepts. */
export type EngineBlock = Exclude<PromptBlock, { type: "redacted" } | { source: { type: "file" } }>;

/** Converts a prompt for the engine, replacing uploaded files by their contents. Throws `ResourceUnavailable`. */
export async function toEnginePrompt(
  prompt: readonly PromptBlock[],
  worker: WorkerClient,
  signal: AbortSignal,
): Promise<EngineBlock[]> {
  const blocks: EngineBlock[] = [];
  for (const block of prompt) blocks.push(await toEngineBlock(block, worker, signal));
  return blocks;
}

async function toEngineBlock(block: PromptBlock, worker: WorkerClient, signal: AbortSignal): Promise<EngineBlock> {
  switch (block.type) {
    case "text":
      return block;
    case "redacted":
      return { type: "text", text: "[Something was taken out here.]" };
    case "image": {
      const { source } = block;
      if (source.type !== "file") return { type: "image", source };
      const { bytes, type } = await read(source.file_id, worker, signal);
      return { type: "image", source: { type: "base64", media_type: type, data: toBase64(bytes) } };
    }
    case "document": {
      const { source } = block;
      const about = {
        type: "document" as const,
        ...(block.title ? { title: block.title } : {}),
        ...(block.context ? { context: block.context } : {}),
      };
      if (source.type === "url" || source.type === "text") return { ...about, source };
      if (source.type === "base64")
        return { ...about, source: documentOf(Buffer.from(source.data, "base64"), source.media_type, "A document") };
      const { bytes, type } = await read(source.file_id, worker, signal);
      return { ...about, source: documentOf(bytes, type, `The file ${source.file_id}`) };
    }
    default:
      return block satisfies never;
  }
}

/** Models' APIs accept PDFs as bytes and everything else as text. */
function documentOf(
  bytes: Uint8Array,
  type: string,
  what: string,
): Extract<EngineBlock, { type: "document" }>["source"] {
  if (type === "application/pdf") return { type: "base64", media_type: type, data: toBase64(bytes) };
  if (!isUtf8(bytes)) throw new ResourceUnavailable("unknown_error", `${what} is neither a PDF nor text.`, {});
  return { type: "text", media_type: "text/plain", data: new TextDecoder().decode(bytes) };
}

async function read(
  fileId: string,
  worker: WorkerClient,
  signal: AbortSignal,
): Promise<{ bytes: Uint8Array; type: string }> {
  try {
    return await worker.read(fileId, MAX_BYTES, signal);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ResourceUnavailable("unknown_error", `The file ${fileId} of the prompt could not be read: ${why}.`, {});
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

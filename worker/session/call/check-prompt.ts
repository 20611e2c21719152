import { RequestRefused } from "@gantry/protocol/error.ts";
import type { PromptBlock } from "@gantry/protocol/content.ts";
import type { Env } from "../../base/env.ts";
import { getFile } from "../../catalog/files/store.ts";

/** What models look at. */
const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** What their APIs take of one image, and of one document. */
const MAX_IMAGE_BYTES = 10 * 1024 * 1024;
const MAX_DOCUMENT_BYTES = 32 * 1024 * 1024;

/** Refuses blocks of a prompt that the engine could not use, with the name of the field. */
export async function checkPrompt(
  env: Env,
  account: string,
  blocks: readonly PromptBlock[],
  field: string,
): Promise<void> {
  for (const [i, block] of blocks.entries()) {
    if (block.type !== "image" && block.type !== "document") continue;
    const { source } = block;
    const refuse = (name: string, reason: string): never => {
      throw new RequestRefused({ code: "invalid_request", field: `${field}[${i}].source.${name}`, reason });
    };
    if (source.type === "url" && !isWebAddress(source.url)) refuse("url", "must be an address with http or https");
    if (source.type === "base64") {
      if (!/^[A-Za-z0-9+/]+={0,2}$/.test(source.data) || source.data.length % 4 !== 0) refuse("data", "is not base64");
      const known = block.type === "image" ? IMAGE_TYPES : ["application/pdf", "text/plain"];
      if (!known.includes(source.media_type)) refuse("media_type", `must be one of ${known.join(", ")}`);
    }
    if (source.type !== "file") continue;
    const file = await getFile(env, account, source.file_id);
    if (file === null) return refuse("file_id", `there is no file ${JSON.stringify(source.file_id)}`);
    if (block.type === "image" && !IMAGE_TYPES.includes(file.mime_type))
      refuse("file_id", `the file is ${file.mime_type}; images are ${IMAGE_TYPES.join(", ")}`);
    const max = block.type === "image" ? MAX_IMAGE_BYTES : MAX_DOCUMENT_BYTES;
    if (file.size_bytes > max) refuse("file_id", `the file is larger than ${max} bytes; mount it instead`);
  }
}

function isWebAddress(text: string): boolean {
  return URL.canParse(text) && ["http:", "https:"].includes(new URL(text).protocol);
}

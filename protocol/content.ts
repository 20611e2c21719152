import { z } from "zod";

/** A block of text. */
export const TextBlock = z.object({ type: z.literal("text"), text: z.string() });
const base64 = z.strictObject({ type: z.literal("base64"), media_type: z.string(), data: z.string() });
const byUrl = z.strictObject({ type: z.literal("url"), url: z.string() });
const byFile = z.strictObject({ type: z.literal("file"), file_id: z.string() });
const plainText = z.strictObject({ type: z.literal("text"), media_type: z.literal("text/plain"), data: z.string() });
/** An image in a tool's result. Other fields of the block are dropped. */
export const ImageBlock = z.object({
  type: z.literal("image"),
  source: z.union([
    z.object({ type: z.literal("base64"), media_type: z.string(), data: z.string() }),
    z.object({ type: z.literal("url"), url: z.string() }),
  ]),
});
const aboutDocument = {
  type: z.literal("document"),
  title: z.string().nullish(),
  context: z.string().nullish(),
};

export const PromptBlock = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text"), text: z.string() }),
  z.strictObject({ type: z.literal("image"), source: z.discriminatedUnion("type", [base64, byUrl, byFile]) }),
  z.strictObject({
    ...aboutDocument,
    source: z.discriminatedUnion("type", [base64, plainText, byUrl, byFile]),
  }),
  /** Marks a block that a client removed from a message before sending it again. */
  z.strictObject({ type: z.literal("redacted") }),
]);
/** One block of a prompt. */
export type PromptBlock = z.infer<typeof PromptBlock>;

/** A block of a client's answer to one of its own tools. */
export const ClientResultBlock = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text"), text: z.string() }),
  z.strictObject({ type: z.literal("image"), source: z.discriminatedUnion("type", [base64, byUrl]) }),
  z.strictObject({ ...aboutDocument, source: plainText }),
  z.strictObject({
    type: z.literal("search_result"),
    source: z.string(),
    title: z.string(),
    content: z.array(z.strictObject({ type: z.literal("text"), text: z.string() })),
    citations: z.strictObject({ enabled: z.boolean() }).optional(),
  }),
]);
export type ClientResultBlock = z.infer<typeof ClientResultBlock>;

/**
 * Whether a prompt contains an uploaded file as an image or a document. Only blocks count: a file's id in the text of a
 * prompt opens nothing, because that text often comes from a stranger.
 * @param payload the payload of the prompt's `user.message` as JSON text.
 */
export function promptContainsFile(payload: string, fileId: string): boolean {
  // Prompts are large and rarely name the file.
  if (fileId === "" || !payload.includes(fileId)) return false;
  const { content } = JSON.parse(payload) as { readonly content?: unknown };
  return Array.isArray(content) && content.some((block: unknown) => fileOf(block) === fileId);
}

function fileOf(block: unknown): unknown {
  const { source } = (block ?? {}) as { readonly source?: { readonly type?: unknown; readonly file_id?: unknown } };
  return source?.type === "file" ? source.file_id : undefined;
}

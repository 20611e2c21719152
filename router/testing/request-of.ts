import { MessagesRequest } from "../request/messages-request.ts";
import type { MessagesBody } from "../request/request.ts";

/** The request with this body. */
export async function requestOf(
  body: MessagesBody,
  kind: "messages" | "count_tokens" = "messages",
): Promise<MessagesRequest> {
  const request = await MessagesRequest.from(new TextEncoder().encode(JSON.stringify(body)), kind);
  if (!request.ok) throw new Error(request.failure.message);
  return request.value;
}

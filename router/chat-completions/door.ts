/** `POST /v1/chat/completions`, built on `POST /v1/messages`: the same routes, retries, limits and records. */
import type { RouterFailure } from "../base/errors.ts";
import { parseObject, readBytes } from "../request/request.ts";
import { chatErrorResponse, messagesResponseToChat } from "./answer.ts";
import { chatRequestToMessages } from "./request.ts";

/** Clock and ids for the answer. */
export interface ChatDoorDeps {
  /** Milliseconds since 1970. */
  now(): number;
  newId(prefix: string): string;
}

/**
 * Answers in OpenAI's shapes, errors included. `messages` is the router's own `POST /v1/messages`, called with the
 * translated request. Never throws because of a request or a provider.
 */
export async function answerChat(
  request: Request,
  messages: (request: Request) => Promise<Response>,
  deps: ChatDoorDeps,
): Promise<Response> {
  const refuse = ({ status, message }: RouterFailure): Response =>
    chatErrorResponse({ status, message, param: null }, deps.newId("req"));
  const bytes = await readBytes(request);
  if (!bytes.ok) return refuse(bytes.failure);
  const object = await parseObject(bytes.value);
  if (!object.ok) return refuse(object.failure);
  const translation = chatRequestToMessages(object.value);
  if (!translation.ok) return chatErrorResponse(translation.failure, deps.newId("req"));
  const headers = new Headers(request.headers);
  headers.set("content-type", "application/json");
  headers.delete("content-length");
  const response = await messages(
    new Request(new URL("/v1/messages", request.url), {
      method: "POST",
      headers,
      body: JSON.stringify(translation.body),
      signal: request.signal,
    }),
  );
  return messagesResponseToChat(response, {
    ...translation.info,
    id: deps.newId("chatcmpl").replace("_", "-"),
    model: translation.body.model,
    created: Math.floor(deps.now() / 1000),
  });
}

import type { StoredEvent } from "@gantry/protocol/event.ts";
import { RequestRefused, errorMessage } from "@gantry/protocol/error.ts";
import { z } from "zod";
import type { Env } from "../env.ts";
import { completeOptions } from "../http/run-options.ts";
import { toSocketMessages } from "../http/socket-messages.ts";
import type { SocketMessage } from "../http/socket-messages.ts";
import type { EventLog } from "./event-log.ts";
import type { Submission, Submitted } from "./session.ts";

/** What a socket remembers while the object sleeps. */
interface SocketState {
  readonly account: string;
  /** `seq` of the last event shown. */
  readonly after: number;
}

const PAGE = 100;

/**
 * WebSockets on a session. They hibernate: the object may be evicted under an open one, so each carries its cursor, and
 * showing what is new means reading the log after it, as for every other reader.
 */
export class Sockets {
  readonly #log: EventLog;
  readonly #all: () => WebSocket[];

  constructor(log: EventLog, all: () => WebSocket[]) {
    this.#log = log;
    this.#all = all;
  }

  open(socket: WebSocket, state: SocketState): void {
    socket.serializeAttachment(state);
    this.#show(socket);
  }

  stateOf(socket: WebSocket): SocketState {
    return socket.deserializeAttachment() as SocketState;
  }

  /** Shows every socket what it has not seen. Never throws: a socket that breaks must not keep the log from being written. */
  pump(): void {
    for (const socket of this.#all()) {
      try {
        this.#show(socket);
      } catch {
        socket.close(1011, "could not be written to");
      }
    }
  }

  #show(socket: WebSocket): void {
    const state = this.stateOf(socket);
    let { after } = state;
    for (;;) {
      const { lines, last } = this.#log.after(after, PAGE);
      if (lines.length === 0) break;
      for (const line of lines) {
        for (const message of toSocketMessages(JSON.parse(line) as StoredEvent)) socket.send(JSON.stringify(message));
      }
      after = last;
    }
    if (after !== state.after) socket.serializeAttachment({ ...state, after });
  }
}

const Incoming = z.strictObject({
  type: z.literal("user_message"),
  content: z.string().refine((text) => text.trim() !== "", "must not be empty"),
  model: z.string().min(1).optional(),
  timestamp: z.number().optional(),
  data: z.unknown().optional(),
});

/** Largest message taken from a client, in bytes. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Rounds with the model for prompts that come by WebSocket (the seed's value for its agent). */
export const SOCKET_MAX_TURNS = 10;

/** Takes a message of a client: null when it was accepted (the log will tell), else the error to send back. */
export function readSocketMessage(
  env: Env,
  data: string | ArrayBuffer,
  submit: (submission: Submission) => Submitted,
): SocketMessage | null {
  const refuse = (content: string): SocketMessage => ({ type: "error", content, timestamp: Date.now() });
  if (typeof data !== "string") return refuse("Messages are text: JSON objects.");
  if (data.length > MAX_MESSAGE_BYTES) return refuse(`A message may have ${MAX_MESSAGE_BYTES} bytes.`);
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return refuse("The message is not JSON.");
  }
  const parsed = Incoming.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return refuse(`${issue?.path.join(".") || "message"}: ${issue?.message ?? "invalid"}`);
  }
  try {
    const { content, model } = parsed.data;
    const options = completeOptions(env, { maxTurns: SOCKET_MAX_TURNS, ...(model === undefined ? {} : { model }) });
    const submitted = submit({ prompt: [{ type: "text", text: content }], options, trigger: "websocket" });
    return submitted.ok
      ? null
      : refuse(
          submitted.error === "queue_full" ? "Too many prompts are waiting in this session." : "Session not found.",
        );
  } catch (error) {
    if (error instanceof RequestRefused) return refuse(errorMessage(error.error));
    throw error;
  }
}

/** The upgrade request as the door hands it to the object: who it is, and from where the log is to be shown. */
export function toSocketRequest(request: Request, account: string, after: number | null): Request {
  const url = new URL("https://session/socket");
  url.searchParams.set("account", account);
  if (after !== null) url.searchParams.set("after", String(after));
  const headers = new Headers({ upgrade: "websocket" });
  const protocol = request.headers.get("sec-websocket-protocol");
  if (protocol) headers.set("sec-websocket-protocol", protocol);
  return new Request(url, { headers });
}

export function fromSocketRequest(request: Request): { account: string; after: number | null } {
  const { searchParams } = new URL(request.url);
  const after = searchParams.get("after");
  return { account: searchParams.get("account") ?? "", after: after === null ? null : Number(after) };
}

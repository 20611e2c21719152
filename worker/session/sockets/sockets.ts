import type { StoredEvent } from "@gantry/protocol/event.ts";
import { RequestRefused, errorMessage } from "@gantry/protocol/error.ts";
import { z } from "zod";
import type { Env } from "../../base/env.ts";
import { checkOptions } from "../store/run-options.ts";
import { toSocketMessages } from "./socket-messages.ts";
import type { SocketMessage } from "./socket-messages.ts";
import type { EventLog, LogPage } from "../log/event-log.ts";
import type { Submission, Submitted } from "../store/facts.ts";
import { PAGE, isPreview } from "../log/stream.ts";

/**
 * What a socket shows. `events`: lines of the log, a frame a commit. `demo`: the seeds' messages, one a frame, and
 * prompts are taken.
 */
type SocketView = "events" | "demo";

/** What a socket remembers while the object sleeps. */
export interface SocketState {
  readonly account: string;
  readonly view: SocketView;
  /** Whether texts are shown while they arrive. */
  readonly previews: boolean;
  /** `seq` of the last event shown. */
  readonly after: number;
  /** Characters sent that the client has not said to have read. */
  readonly unread: number;
  /** Whether it says so: such a client is held back, another one is closed. */
  readonly confirms: boolean;
  /** A place on the way: with its confirmation `unread` falls to what was sent after it. */
  readonly mark: { readonly seq: number; readonly sentAfter: number } | null;
}

/** A frame of events is closed at this length: in UTF-8 it stays below 1 MiB. One event alone may be longer. */
const MAX_FRAME_CHARS = 340_000;

/** What a client that confirms may have unread: then it waits, in its place in the log. */
const WINDOW_CHARS = 1_000_000;

/**
 * What a client that never confirms may be sent on one connection: what it has not read lies in our memory, and nothing
 * says how much that is. The seeds' clients do not come back with a cursor, so they get more.
 */
const MAX_UNREAD_CHARS: Record<SocketView, number> = { events: 8_000_000, demo: 64_000_000 };

/** What a client may send to see that the other side is there: it is answered without waking the object. */
const PING = '{"type":"ping"}';
const PONG = '{"type":"pong"}';

/** Close code: come back with `after`. */
const READ_ON = 4008;

/** What sub-agents do is read in their own threads. */
const PRIMARY = { thread: null };

/** Attachments are written this long after a change: every write costs, and an object with a timer is not evicted. */
const SAVE_MS = 500;

/**
 * WebSockets on a session. They hibernate: the object may be evicted under an open one, so each carries its cursor, and
 * showing what is new means reading the log after it, as for every other reader. A page is put into frames once for all
 * that stand at the same place.
 */
export class Sockets {
  readonly #log: EventLog;
  readonly #ctx: DurableObjectState;
  #states: Map<WebSocket, SocketState> | null = null;
  readonly #unsaved = new Set<WebSocket>();
  #saving = false;

  constructor(log: EventLog, ctx: DurableObjectState) {
    this.#log = log;
    this.#ctx = ctx;
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  /** Opens a socket for an upgrade request that may have it. */
  accept(request: Request, state: Omit<SocketState, "unread" | "mark">): Response {
    const { 0: client, 1: socket } = new WebSocketPair();
    this.#ctx.acceptWebSocket(socket);
    const whole = { ...state, unread: 0, mark: null };
    socket.serializeAttachment(whole);
    this.#known().set(socket, whole);
    this.#show(socket, whole);
    // A client that offered subprotocols wants one of them named.
    const headers = request.headers.has("sec-websocket-protocol") ? { "sec-websocket-protocol": "gantry" } : {};
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  stateOf(socket: WebSocket): SocketState {
    return this.#known().get(socket) ?? (socket.deserializeAttachment() as SocketState);
  }

  /** The socket is gone, or the client closes it, with this code. */
  closed(socket: WebSocket, code?: number, reason?: string): void {
    this.#states?.delete(socket);
    this.#unsaved.delete(socket);
    // 1005 and 1006 are told, never sent.
    if (code !== undefined) socket.close(code === 1005 || code === 1006 ? 1000 : code, reason);
  }

  /** The client says that it has read everything up to `seq`. */
  confirm(socket: WebSocket, seq: number): void {
    const { mark, ...state } = this.stateOf(socket);
    const passed = mark !== null && seq >= mark.seq;
    const next = passed ? { unread: mark.sentAfter, mark: { seq: state.after, sentAfter: 0 } } : { mark };
    const confirmed = { ...state, ...next };
    this.#keep(socket, confirmed);
    this.#show(socket, confirmed);
  }

  /** Shows every socket what it has not seen. Never throws: a socket that breaks must not keep the log from being written. */
  pump(): void {
    for (const [socket, state] of this.#known()) {
      try {
        this.#show(socket, state);
      } catch {
        this.closed(socket);
        socket.close(1011, "could not be written to");
      }
    }
  }

  /** After an eviction the sockets are there and nothing else is. */
  #known(): Map<WebSocket, SocketState> {
    this.#states ??= new Map(
      this.#ctx.getWebSockets().map((socket) => [socket, socket.deserializeAttachment() as SocketState] as const),
    );
    return this.#states;
  }

  #show(socket: WebSocket, state: SocketState): void {
    let { after, unread, mark } = state;
    while (!(state.confirms && unread > WINDOW_CHARS)) {
      const page = this.#log.after(after, PAGE, state.view === "demo" ? "all" : PRIMARY);
      if (page.lines.length === 0) break;
      let sent = 0;
      for (const frame of framesOf(page, state)) {
        socket.send(frame);
        sent += frame.length;
      }
      after = page.last;
      unread += sent;
      mark = mark === null ? { seq: after, sentAfter: 0 } : { ...mark, sentAfter: mark.sentAfter + sent };
      if (unread > MAX_UNREAD_CHARS[state.view]) {
        this.closed(socket);
        return socket.close(READ_ON, `read on with after=${after}`);
      }
      if (!page.more) break;
    }
    if (after !== state.after) this.#keep(socket, { ...state, after, unread, mark });
  }

  #keep(socket: WebSocket, state: SocketState): void {
    this.#known().set(socket, state);
    this.#unsaved.add(socket);
    if (!this.#saving) setTimeout(() => this.#save(), SAVE_MS);
    this.#saving = true;
  }

  #save(): void {
    this.#saving = false;
    for (const socket of this.#unsaved) {
      const state = this.#states?.get(socket);
      if (state) socket.serializeAttachment(state);
    }
    this.#unsaved.clear();
  }
}

/** A page as frames of a view, made once for all sockets that stand there. */
const made = new WeakMap<LogPage, Map<string, readonly string[]>>();

function framesOf(page: LogPage, { view, previews }: SocketState): readonly string[] {
  const known = made.get(page) ?? new Map<string, readonly string[]>();
  made.set(page, known);
  const key = `${view} ${previews}`;
  const frames = known.get(key) ?? (view === "demo" ? demoFrames(page) : eventFrames(page, previews));
  known.set(key, frames);
  return frames;
}

function demoFrames(page: LogPage): string[] {
  return page.lines.flatMap((line) =>
    toSocketMessages(JSON.parse(line) as StoredEvent).map((message) => JSON.stringify(message)),
  );
}

function eventFrames(page: LogPage, previews: boolean): string[] {
  const frames: string[] = [];
  let lines: string[] = [];
  let chars = 0;
  for (const line of page.lines) {
    if (!previews && isPreview(line)) continue;
    if (chars > 0 && chars + line.length > MAX_FRAME_CHARS) {
      frames.push(lines.join("\n"));
      lines = [];
      chars = 0;
    }
    lines.push(line);
    chars += line.length + 1;
  }
  if (lines.length > 0) frames.push(lines.join("\n"));
  return frames;
}

const Prompt = z.strictObject({
  type: z.literal("user_message"),
  content: z.string().refine((text) => text.trim() !== "", "must not be empty"),
  model: z.string().min(1).optional(),
  timestamp: z.number().optional(),
  data: z.unknown().optional(),
});
/** What it has read: see `WINDOW_CHARS`. */
const Confirmation = z.strictObject({ type: z.literal("ack"), seq: z.int().nonnegative() });

/** What a client may say, by what it looks at. */
const INCOMING = { events: Confirmation, demo: z.discriminatedUnion("type", [Prompt, Confirmation]) };

/** Largest message taken from a client, in bytes. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Rounds with the model for prompts that come by WebSocket (the seed's value for its agent). */
export const SOCKET_MAX_TURNS = 10;

/** Takes a message of a client: null when it was accepted (the log will tell), else the error to send back. */
export function readSocketMessage(
  env: Env,
  data: string | ArrayBuffer,
  view: SocketView,
  act: { readonly confirm: (seq: number) => void; readonly submit: (submission: Submission) => Submitted },
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
  const parsed = INCOMING[view].safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return refuse(`${issue?.path.join(".") || "message"}: ${issue?.message ?? "invalid"}`);
  }
  if (parsed.data.type === "ack") {
    act.confirm(parsed.data.seq);
    return null;
  }
  try {
    const { content, model } = parsed.data;
    const options = checkOptions(env, { maxTurns: SOCKET_MAX_TURNS, ...(model === undefined ? {} : { model }) });
    const submitted = act.submit({ prompt: [{ type: "text", text: content }], options, trigger: "websocket" });
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

/** The upgrade request as the door hands it to the object: who it is, what it looks at, and from where on. */
export interface SocketOpening {
  readonly account: string;
  readonly view: SocketView;
  readonly previews: boolean;
  readonly confirms: boolean;
  /** A `seq` or an event's id; null: what happens from now on. */
  readonly cursor: string | null;
}

export function toSocketRequest(request: Request, opening: SocketOpening): Request {
  const url = new URL("https://session/socket");
  url.searchParams.set("opening", JSON.stringify(opening));
  const headers = new Headers({ upgrade: "websocket" });
  const protocol = request.headers.get("sec-websocket-protocol");
  if (protocol) headers.set("sec-websocket-protocol", protocol);
  return new Request(url, { headers });
}

export function fromSocketRequest(request: Request): SocketOpening {
  return JSON.parse(new URL(request.url).searchParams.get("opening") ?? "null") as SocketOpening;
}

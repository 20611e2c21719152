import type { StoredEvent } from "@gantry/protocol/event.ts";
import { jsonExcess } from "@gantry/protocol/json-limits.ts";
import { RequestRefused, errorMessage } from "@gantry/protocol/error.ts";
import { z } from "zod";
import type { CheckedOptions, WantedOptions } from "../store/run-options.ts";
import { toSocketMessages } from "./socket-messages.ts";
import type { SocketMessage } from "./socket-messages.ts";
import { mayReadOn } from "./key-holds.ts";
import type { EventLog, LogPage } from "../log/event-log.ts";
import type { Submission, Submitted } from "../store/facts.ts";
import { PAGE, isPreview } from "../log/stream.ts";

/**
 * What a socket shows. `events`: lines of the log, one frame per commit. `demo`: demo messages, one per frame; such a
 * socket also accepts prompts.
 */
type SocketView = "events" | "demo";

/** State of a socket that survives the eviction of the object. */
export interface SocketState {
  readonly account: string;
  /** Id of the key that opened the socket. Absent in sockets that an earlier version opened. */
  readonly keyId?: string;
  /** When that key expires, in milliseconds since 1970; null: never. */
  readonly keyEndsAt?: number | null;
  readonly view: SocketView;
  /** Whether to send previews of texts that are still arriving. */
  readonly previews: boolean;
  /** `seq` of the last event sent. */
  readonly after: number;
  /** Characters sent that the client has not confirmed. */
  readonly unread: number;
  /** Whether the client confirms what it has read. Such a client is held back when it is slow; any other is closed. */
  readonly confirms: boolean;
  /** A checkpoint: once it is confirmed, `unread` falls to what was sent after it. */
  readonly mark: { readonly seq: number; readonly sentAfter: number } | null;
}

/** Maximum length of a frame of several events: in UTF-8 it stays below 1 MiB. A single event may be longer. */
const MAX_FRAME_CHARS = 340_000;

/** Maximum of unconfirmed characters for a client that confirms. Beyond it, sending pauses. */
const WINDOW_CHARS = 1_000_000;

/**
 * Maximum sent on one connection to a client that never confirms: what it has not read is in our memory, and we cannot
 * know how much that is. Demo clients do not reconnect with a cursor, so they get more.
 */
const MAX_UNREAD_CHARS: Record<SocketView, number> = { events: 8_000_000, demo: 64_000_000 };

/** A client sends this to check the connection. It is answered without waking the object. */
const PING = '{"type":"ping"}';
const PONG = '{"type":"pong"}';

/** Close code: reconnect with `after`. */
const READ_ON = 4008;

/** Close code: the key that opened the socket has ended. */
const KEY_ENDED = 4401;

/** How often the key of an open socket is checked, in milliseconds. */
const WATCH_MS = 60_000;

/** How sockets learn that their key has ended. */
export interface KeyWatch {
  /** Whether a key is still valid. Throws `storage_unavailable` when that is not known. */
  readonly holds: (keyId: string) => Promise<boolean>;
  /** Sets when `watchKeys` is due, in milliseconds since 1970; null: not at all. */
  readonly setAlarm: (at: number | null) => void;
}

/** Sub-agents' events are read in their own threads. */
const PRIMARY = { thread: null };

/** Delay before attachments are written: each write costs, and an object with a timer is not evicted. */
const SAVE_MS = 500;

/**
 * WebSockets on a session. They hibernate: the object may be evicted while a socket is open. So each socket carries its
 * cursor, and new events are read from the log after it, as for every other reader. A page is turned into frames once
 * for all sockets at the same position.
 */
export class Sockets {
  readonly #log: EventLog;
  readonly #ctx: DurableObjectState;
  readonly #keys: KeyWatch;
  /** The message of each socket that is being handled. */
  /** When `watchKeys` is due, as far as this object knows; null after an eviction. */
  #watchAt: number | null = null;
  readonly #turns = new WeakMap<WebSocket, Promise<void>>();
  #states: Map<WebSocket, SocketState> | null = null;
  readonly #unsaved = new Set<WebSocket>();
  #saving = false;

  constructor(log: EventLog, ctx: DurableObjectState, keys: KeyWatch) {
    this.#keys = keys;
    this.#log = log;
    this.#ctx = ctx;
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  /** Opens a socket for an upgrade request that the door has authorised. */
  accept(request: Request, state: Omit<SocketState, "unread" | "mark">): Response {
    const { 0: client, 1: socket } = new WebSocketPair();
    this.#ctx.acceptWebSocket(socket);
    const whole = { ...state, unread: 0, mark: null };
    socket.serializeAttachment(whole);
    this.#known().set(socket, whole);
    // A watch that is set and comes before this key's end covers the new socket too: no write for each of a thousand sockets.
    const isCovered = this.#watchAt !== null && this.#watchAt <= (state.keyEndsAt ?? Infinity);
    if (!isCovered) this.#setWatch();
    this.#show(socket, whole);
    // A client that offers subprotocols expects one of them in the answer.
    const headers = request.headers.has("sec-websocket-protocol") ? { "sec-websocket-protocol": "gantry" } : {};
    return new Response(null, { status: 101, webSocket: client, headers });
  }

  stateOf(socket: WebSocket): SocketState {
    return this.#known().get(socket) ?? (socket.deserializeAttachment() as SocketState);
  }

  /** Handles a socket's messages one after the other: a check that waits must not let a later prompt pass. */
  inTurn(socket: WebSocket, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(socket) ?? Promise.resolve()).then(work, work);
    this.#turns.set(socket, turn);
    return turn;
  }

  /** Whether the key that opened the socket is still valid. If not, closes the socket. */
  async mayPrompt(socket: WebSocket): Promise<boolean> {
    const { keyId, keyEndsAt = null } = this.stateOf(socket);
    const expired = keyEndsAt !== null && keyEndsAt <= Date.now();
    const holds = keyId !== undefined && !expired && (await this.#keys.holds(keyId));
    if (!holds) this.#end(socket, KEY_ENDED, "the API key has ended: connect again with a valid one");
    return holds;
  }

  /** Closes the sockets whose key has ended, and sets when to look again. Called by the alarm. */
  async watchKeys(): Promise<void> {
    const sockets = [...this.#known()];
    // One question per key: a hundred sockets may have the same one.
    const answers = new Map<string, Promise<boolean>>();
    for (const [socket, { keyId, keyEndsAt = null }] of sockets) {
      if (keyId === undefined) continue;
      const answer = answers.get(keyId) ?? mayReadOn(this.#keys.holds(keyId));
      answers.set(keyId, answer);
      const expired = keyEndsAt !== null && keyEndsAt <= Date.now();
      if (expired || !(await answer))
        this.#end(socket, KEY_ENDED, "the API key has ended: connect again with a valid one");
    }
    this.#setWatch();
  }

  #setWatch(): void {
    const states = [...this.#known().values()];
    const ends = states.flatMap(({ keyEndsAt }) => keyEndsAt ?? []);
    this.#watchAt = states.length === 0 ? null : Math.min(Date.now() + WATCH_MS, ...ends);
    this.#keys.setAlarm(this.#watchAt);
  }

  #end(socket: WebSocket, code: number, reason: string): void {
    this.closed(socket);
    socket.close(code, reason);
  }

  /** The socket is gone, or the client closes it with this code. */
  closed(socket: WebSocket, code?: number, reason?: string): void {
    this.#states?.delete(socket);
    this.#unsaved.delete(socket);
    // 1005 and 1006 are reported, never sent.
    if (code !== undefined) socket.close(code === 1005 || code === 1006 ? 1000 : code, reason);
  }

  /** The client confirms that it has read everything up to `seq`. */
  confirm(socket: WebSocket, seq: number): void {
    const { mark, ...state } = this.stateOf(socket);
    const passed = mark !== null && seq >= mark.seq;
    const next = passed ? { unread: mark.sentAfter, mark: { seq: state.after, sentAfter: 0 } } : { mark };
    const confirmed = { ...state, ...next };
    this.#keep(socket, confirmed);
    this.#show(socket, confirmed);
  }

  /** Sends every socket what it has not seen. Never throws: a broken socket must not stop the log from being written. */
  pump(): void {
    for (const [socket, state] of this.#known()) {
      try {
        this.#show(socket, state);
      } catch {
        this.#end(socket, 1011, "could not be written to");
      }
    }
  }

  /** The states of the open sockets. After an eviction only the sockets remain. */
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
        return this.#end(socket, READ_ON, `read on with after=${after}`);
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

/** Frames of a page in a view, made once for all sockets at that position. */
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
/** Confirms what the client has read: see `WINDOW_CHARS`. */
const Confirmation = z.strictObject({ type: z.literal("ack"), seq: z.int().nonnegative() });

/** What a client may send, by the view of its socket. */
const INCOMING = { events: Confirmation, demo: z.discriminatedUnion("type", [Prompt, Confirmation]) };

/** Largest message taken from a client, in bytes. */
const MAX_MESSAGE_BYTES = 1024 * 1024;

/** Maximum turns of a run whose prompt came by WebSocket, `/query`, `/agent/message` or `/container/process`. */
export const SOCKET_MAX_TURNS = 10;

/** Handles a client's message. Null: it was accepted, and the log will show it. Otherwise the error to send back. */
export async function readSocketMessage(
  data: string | ArrayBuffer,
  view: SocketView,
  act: {
    readonly confirm: (seq: number) => void;
    /** Checks the options of a prompt. Throws `RequestRefused`. */
    readonly check: (wanted: WantedOptions) => CheckedOptions;
    /** Null: the socket was closed instead, because its key has ended. */
    readonly submit: (submission: Submission) => Promise<Submitted | null>;
  },
): Promise<SocketMessage | null> {
  const refuse = (content: string): SocketMessage => ({ type: "error", content, timestamp: Date.now() });
  if (typeof data !== "string") return refuse("Messages are text: JSON objects.");
  if (data.length > MAX_MESSAGE_BYTES) return refuse(`A message may have ${MAX_MESSAGE_BYTES} bytes.`);
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return refuse("The message is not JSON.");
  }
  const excess = jsonExcess(value);
  if (excess !== null) return refuse(`message: ${excess}`);
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
    const options = act.check({ maxTurns: SOCKET_MAX_TURNS, ...(model === undefined ? {} : { model }) });
    const submitted = await act.submit({ prompt: [{ type: "text", text: content }], options, trigger: "websocket" });
    return submitted === null || submitted.ok
      ? null
      : refuse(
          submitted.error === "queue_full" ? "Too many prompts are waiting in this session." : "Session not found.",
        );
  } catch (error) {
    if (error instanceof RequestRefused) return refuse(errorMessage(error.error));
    throw error;
  }
}

/** The upgrade request as the door passes it to the object: the account, the view and the cursor. */
export interface SocketOpening {
  readonly account: string;
  readonly keyId: string;
  readonly keyEndsAt: number | null;
  readonly view: SocketView;
  readonly previews: boolean;
  readonly confirms: boolean;
  /** A `seq` or an event's id; null: only new events. */
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

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { CLOSE, Command, isReadableBy } from "@gantry/protocol/link.ts";
import { MessageAssembler, toMessages } from "@gantry/protocol/link-messages.ts";
import { guarded } from "../base/guarded.ts";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import type { SessionHost } from "../host/session-host.ts";

/** Largest message that is accepted. Our own are at most half a million characters. */
const MAX_PAYLOAD_BYTES = 4_000_000;

interface LinkSettings {
  /** The host of a session; creates it if needed. */
  readonly hostOf: (sessionId: string) => SessionHost;
  /** The host of a session, if there is one. */
  readonly existing: (sessionId: string) => SessionHost | undefined;
  readonly log: (entry: Record<string, unknown>) => void;
}

/** The sessions' links: one WebSocket each. A link with a higher epoch replaces an older one. */
export class Links {
  readonly #settings: LinkSettings;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_PAYLOAD_BYTES, perMessageDeflate: false });
  readonly #links = new Map<string, { socket: WebSocket; epoch: number }>();

  constructor(settings: LinkSettings) {
    this.#settings = settings;
  }

  /** Takes over an upgrade request that has been authorized, as a link of this session. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, sessionId: string): void {
    this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#serve(ws, sessionId));
  }

  /** Cuts all links. */
  terminate(): void {
    for (const { socket } of this.#links.values()) socket.terminate();
  }

  #serve(socket: WebSocket, sessionId: string): void {
    const { hostOf, existing, log } = this.#settings;
    const assembler = new MessageAssembler();
    let greeted = false;
    const hear = (data: Buffer): void => {
      try {
        const value = assembler.push(data.toString("utf8"));
        if (value === undefined) return;
        const command = Command.parse(value);
        if (command.type === "hello") {
          greeted = this.#greet(socket, sessionId, command);
        } else if (greeted && this.#isCurrent(socket, sessionId)) {
          hostOf(sessionId).handle(command);
        }
      } catch (error) {
        log({ event: "bad_command", sessionId, error: String(error) });
        socket.close(CLOSE.badMessage, "bad message");
      }
    };
    const leave = (): void => {
      if (!this.#isCurrent(socket, sessionId)) return;
      this.#links.delete(sessionId);
      existing(sessionId)?.detach();
    };
    const note = (error: Error): void => log({ event: "link_error", sessionId, error: error.message });
    socket.on("message", guarded("link_message", hear));
    socket.on("close", guarded("link_close", leave));
    socket.on("error", guarded("link_error", note));
  }

  #isCurrent(socket: WebSocket, sessionId: string): boolean {
    return this.#links.get(sessionId)?.socket === socket;
  }

  /** Makes this link the session's current one. Returns false when a newer one exists. */
  #greet(socket: WebSocket, sessionId: string, hello: Extract<Command, { type: "hello" }>): boolean {
    const { epoch } = hello;
    const current = this.#links.get(sessionId);
    if (current && current.socket !== socket) {
      if (epoch <= current.epoch) {
        socket.close(CLOSE.staleEpoch, "a newer link exists");
        return false;
      }
      // Close the old link, so that its owner notices at once that it was replaced.
      current.socket.close(CLOSE.replaced, "replaced by a newer link");
    }
    this.#links.set(sessionId, { socket, epoch });
    this.#settings.hostOf(sessionId).attach((report) => {
      if (!isReadableBy(hello.protocol, report)) return;
      for (const message of toMessages(report)) socket.send(message);
    }, hello);
    return true;
  }
}

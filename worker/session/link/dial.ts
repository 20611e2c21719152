import { CLOSE, PROTOCOL_VERSION, Report, isReadableBy } from "@gantry/protocol/link.ts";
import { MessageAssembler, toMessages } from "@gantry/protocol/link-messages.ts";
import type { Command } from "@gantry/protocol/link.ts";
import { RUNNER_PORT } from "../../sandbox/sandbox.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";

export interface LinkHandlers {
  /** Called with each report, validated and in order. */
  readonly onReport: (report: Report) => void;
  /** Called once when the link has ended; `code` is set when the runner closed it. */
  readonly onClose: (reason: string, code?: number) => void;
}

/** An open link to the runner. */
export interface Link {
  send(command: Command): void;
  close(reason: string): void;
}

/** How long the runner may take to accept a link. */
const DIAL_TIMEOUT_MS = 5_000;

/** Dials the runner and says hello. Rejects when it cannot be reached. */
export async function dial(
  sandbox: Sandbox,
  sessionId: string,
  hello: Omit<Extract<Command, { type: "hello" }>, "type" | "protocol">,
  handlers: LinkHandlers,
): Promise<Link> {
  await sandbox.start();
  // Cleared once the runner answers: a signal that fires later would cut the open link.
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), DIAL_TIMEOUT_MS);
  const response = await sandbox
    .getTcpPort(RUNNER_PORT)
    .fetch(`http://runner/sessions/${sessionId}/link`, {
      headers: { upgrade: "websocket" },
      signal: patience.signal,
    })
    .finally(() => clearTimeout(timer));
  const socket = response.webSocket;
  if (!socket) throw new Error(`the runner answered ${response.status} instead of a link`);
  const assembler = new MessageAssembler();
  let open = true;
  /** Protocol version of the runner. During a roll-out it may be the version before. */
  let spoken = PROTOCOL_VERSION;
  const closed = (reason: string, code?: number): void => {
    if (!open) return;
    open = false;
    handlers.onClose(reason, code);
  };
  socket.addEventListener("message", (event) => {
    if (!open) return;
    try {
      const value = assembler.push(typeof event.data === "string" ? event.data : new TextDecoder().decode(event.data));
      if (value === undefined) return;
      const report = Report.parse(value);
      if (report.type === "welcome") spoken = report.protocol;
      handlers.onReport(report);
    } catch (error) {
      socket.close(CLOSE.badMessage, "bad message");
      closed(`bad message: ${String(error)}`);
    }
  });
  socket.addEventListener("close", (event) => closed(`closed ${event.code} ${event.reason}`, event.code));
  socket.addEventListener("error", () => closed("socket error"));
  socket.accept();
  const send = (command: Command): void => {
    if (!isReadableBy(spoken, command)) return;
    for (const message of toMessages(command)) socket.send(message);
  };
  send({ type: "hello", protocol: PROTOCOL_VERSION, ...hello });
  return {
    send,
    close(reason) {
      open = false;
      socket.close(1000, reason.slice(0, 100));
    },
  };
}

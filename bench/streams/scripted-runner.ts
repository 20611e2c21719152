import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { newId } from "@gantry/protocol/ids.ts";
import { Command, PROTOCOL_VERSION } from "@gantry/protocol/link.ts";
import { MessageAssembler, toMessages } from "@gantry/protocol/link-messages.ts";
import type { FramedEvent, Report, RunStart } from "@gantry/protocol/link.ts";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";

/**
 * A runner without an engine: the prompt says how many events a run has, and they come as fast as they are stored. The
 * measurement thus covers the session and its readers only.
 */

/** Events a frame, and so a commit. */
export const EVENTS_A_COMMIT = 10;
/** Frames under way before the first of them must be acknowledged. */
const IN_FLIGHT = 4;

export async function startScriptedRunner(): Promise<number> {
  const runnerId = newId("runner");
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ status: "ok", runnerId, freeBytes: 1e12, engines: 0, busySessions: 0 }));
  });
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on("connection", (socket) => serve(socket, runnerId));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function serve(socket: WebSocket, runnerId: string): void {
  const assembler = new MessageAssembler();
  let frame = 0;
  let run: { runId: string; left: number } | null = null;
  const send = (report: Report): void => {
    for (const message of toMessages(report)) socket.send(message);
  };
  const sendFrame = (runId: string, events: FramedEvent[]): void => {
    frame += 1;
    send({ type: "frame", frame, runId, events });
  };
  const advance = (): void => {
    if (!run) return;
    const { runId, left } = run;
    if (left > 0) {
      run.left -= EVENTS_A_COMMIT;
      return sendFrame(
        runId,
        Array.from({ length: EVENTS_A_COMMIT }, (_, at) => said(`event ${left - at}`.padEnd(100, "."))),
      );
    }
    run = null;
    sendFrame(runId, [ended()]);
  };
  socket.on("message", (data: Buffer) => {
    const value = assembler.push(data.toString("utf8"));
    if (value === undefined) return;
    const command = Command.parse(value);
    if (command.type === "hello") {
      // Frames are numbered per runner: each link continues where the session is.
      frame = command.cursor?.runnerId === runnerId ? command.cursor.frame : 0;
      send({ type: "welcome", protocol: PROTOCOL_VERSION, runnerId, activeRunId: null, endedRunIds: [] });
    } else if (command.type === "run.start") {
      run = { runId: command.runId, left: eventsOf(command) };
      for (let at = 0; at < IN_FLIGHT; at++) advance();
    } else if (command.type === "ack") {
      advance();
    } else if (command.type === "ping") {
      send({ type: "pong", at: command.at });
    }
  });
}

function eventsOf({ prompt }: RunStart): number {
  return prompt[0]?.type === "text" ? Number(prompt[0].text) : 0;
}

function said(text: string): FramedEvent {
  return { id: newId("event"), at: Date.now(), type: "agent.message", content: [{ type: "text", text }] };
}

function ended(): FramedEvent {
  const how = { outcome: "succeeded" as const, result: "", error: null, usage: null, num_turns: 1, duration_ms: 1 };
  return { id: newId("event"), at: Date.now(), type: "run.ended", ...how };
}

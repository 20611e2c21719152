import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";

/**
 * The least that fan-out can be: a `ws` server that sends each event to each client as it happens, and keeps nothing. A
 * message `N` from any client begins N events.
 */
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.on("message", (data: Buffer) => void send(Number(data.toString("utf8"))));
});

async function send(events: number): Promise<void> {
  for (let seq = 1; seq <= events; seq++) {
    const content = [{ type: "text", text: `event ${seq}`.padEnd(100, ".") }];
    const id = `sevt_${String(seq).padStart(36, "0")}`;
    const text = JSON.stringify({ type: "agent.message", id, seq, run_id: id, processed_at: new Date(), content });
    for (const client of server.clients) client.send(text);
    // A loop that never rests would send nothing before its end.
    if (seq % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

server.on("listening", () => process.send?.(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`));

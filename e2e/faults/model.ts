import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { requestOf } from "@gantry/router/testing/request-of.ts";
import { createDemoUpstream } from "@gantry/router/upstreams/demo.ts";

/**
 * The model behind the product: the demonstration's scripts, served by this process over HTTP, with a log of its own
 * that the auditor believes, and with the faults of a provider.
 */

export const FAULTS_OF_A_MODEL = ["cut", "slow", "garbage", "overloaded", "hang"] as const;
export type ModelFault = (typeof FAULTS_OF_A_MODEL)[number];

/** A call of the model, as the model knows it. */
export interface ModelCall {
  readonly at: number;
  /** The conversation it was shown. */
  readonly messages: string;
  input: number;
  output: number;
  /** Characters that were sent: more than whatever a reader may take them for in tokens. */
  sent: number;
  /** `served`: to its last byte, and the client was still connected. */
  state: "open" | "served" | "broken" | "refused";
  endedAt: number;
}

export class Model {
  readonly calls: ModelCall[] = [];
  /** What happens to calls now. */
  fault: ModelFault | null = null;
  /** Called during calls, for faults that wait for such a point. */
  onPoint: (point: "model" | "streaming") => void = () => {};
  readonly #server: Server;
  readonly #upstream = createDemoUpstream();

  constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Listens, and returns its port. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    const address = this.#server.address();
    return typeof address === "object" && address ? address.port : 0;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const raw = Buffer.concat(chunks);
    const kind = request.url?.includes("count_tokens") ? "count_tokens" : "messages";
    const body = JSON.parse(raw.toString()) as { model: string; messages: unknown };
    const call: ModelCall = {
      at: Date.now(),
      messages: JSON.stringify(body.messages),
      input: 0,
      output: 0,
      sent: 0,
      state: "open",
      endedAt: 0,
    };
    if (kind === "messages") {
      this.calls.push(call);
      this.onPoint("model");
    }
    const left = new AbortController();
    response.on("close", () => {
      call.endedAt = Date.now();
      if (call.state === "open") call.state = response.writableFinished ? "served" : "broken";
      left.abort();
    });
    if (this.fault === "hang") await sleep(2_000, undefined, { signal: left.signal });
    if (this.fault === "overloaded" || this.fault === "garbage") {
      call.state = "refused";
      response.writeHead(this.fault === "overloaded" ? 529 : 200, { "content-type": "text/html" });
      response.end("<html>busy</html>");
      return;
    }
    const answer = await this.#upstream(
      {
        request: await requestOf(body as never, kind),
        kind,
        inbound: new Headers(),
        search: "",
        requestId: "req_model",
        deployment: null as never,
        signal: left.signal,
        onUsage: (usage) => {
          call.input = usage.inputTokens ?? 0;
          call.output = usage.outputTokens ?? 0;
        },
      },
      {
        fetch,
        now: Date.now,
        random: Math.random,
        sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
        newId: (prefix) => `${prefix}_${Math.random().toString(36).slice(2)}`,
      },
    );
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    let sent = 0;
    for await (const piece of answer.body ?? []) {
      if (this.fault === "slow") await sleep(100);
      if (this.fault === "cut" && sent > 2) {
        call.state = "broken";
        response.destroy();
        return;
      }
      response.write(piece);
      call.sent += (piece as Uint8Array).byteLength;
      if (++sent === 3) this.onPoint("streaming");
    }
    response.end();
  }
}

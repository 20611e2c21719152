import { createServer, connect } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

/** A network that fails: it forwards bytes, and destroys a connection after a given number of bytes from the server. */
export class CuttingProxy {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  /** How many bytes from the server the next connection may carry. */
  readonly #budget: () => number;
  /** Connections that were cut, not ended. */
  cuts = 0;

  private constructor(target: string, budget: () => number) {
    const { hostname, port } = new URL(target);
    this.#budget = budget;
    this.#server = createServer((client) => this.#serve(client, connect(Number(port), hostname)));
  }

  static async start(target: string, budget: () => number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, budget);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
  }

  #serve(client: Socket, server: Socket): void {
    let left = this.#budget();
    for (const socket of [client, server]) {
      this.#open.add(socket);
      socket.on("error", () => null);
      socket.on("close", () => {
        this.#open.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on("data", (data) => server.write(data));
    server.on("data", (data) => {
      if (data.length <= left) {
        left -= data.length;
        client.write(data);
        return;
      }
      server.removeAllListeners("data");
      this.cuts += 1;
      // The bytes within the limit arrive before the connection ends.
      client.write(data.subarray(0, left), () => client.destroy());
      server.destroy();
    });
  }
}

import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";

/** A real MCP server on this machine: a shop that tells prices and sells. */
export interface Shop {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  close(): void;
}

/** @param guard sees each request first; it returns true if it has answered the request itself. */
export async function openShop(
  guard: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
): Promise<Shop> {
  const server = createServer((request, response) => {
    if (!guard(request, response)) void serve(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    host: `127.0.0.1:${typeof address === "object" ? address?.port : 0}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const mcp = new McpServer({ name: "shop", version: "1" });
  mcp.registerTool("price", { inputSchema: { item: z.string() } }, ({ item }) => ({
    content: [{ type: "text", text: `${item}: 3` }],
  }));
  mcp.registerTool("buy", { inputSchema: {} }, () => ({ content: [{ type: "text", text: "bought" }] }));
  const transport = new StreamableHTTPServerTransport({});
  response.on("close", () => void mcp.close());
  await mcp.connect(transport as Parameters<typeof mcp.connect>[0]);
  await transport.handleRequest(request, response);
}

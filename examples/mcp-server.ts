/**
 * An agent with an MCP server: a tiny server in this program tells the prices of a shop, and the agent asks it.
 *
 *     GANTRY_API_KEY=... npx node examples/mcp-server.ts
 *
 * GANTRY_URL is http://127.0.0.1:8787 unless set. GANTRY_MODEL is the demonstration model, which needs no provider key.
 * The sandbox connects to the server. For a Gantry on another machine, give the agent an address that it can reach.
 */
import Anthropic from "@anthropic-ai/sdk";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";

const { GANTRY_URL: baseURL = "http://127.0.0.1:8787", GANTRY_API_KEY: apiKey } = process.env;
const { GANTRY_MODEL: model = "demo/scripted" } = process.env;
if (!apiKey) throw new Error("Set GANTRY_API_KEY to an API key of your Gantry.");

// The MCP server. It keeps nothing between requests, so each request gets a new one.
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const mcp = new McpServer({ name: "shop", version: "1" });
  mcp.registerTool("price", { description: "Price of an item", inputSchema: { item: z.string() } }, ({ item }) => ({
    content: [{ type: "text", text: `One ${item} costs 3 euros.` }],
  }));
  const transport = new StreamableHTTPServerTransport({});
  response.on("close", () => void mcp.close());
  await mcp.connect(transport as Parameters<typeof mcp.connect>[0]);
  await transport.handleRequest(request, response);
}
const server = createServer((request, response) => void serve(request, response));
const port = await new Promise<number>((resolve) => {
  server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
});

const client = new Anthropic({ baseURL, apiKey });
const agent = await client.beta.agents.create({
  name: "Shop assistant",
  model,
  mcp_servers: [{ type: "url", name: "shop", url: `http://127.0.0.1:${port}/mcp` }],
  // Without this policy, each call waits for an approval: see approvals.ts.
  tools: [
    { type: "mcp_toolset", mcp_server_name: "shop", default_config: { permission_policy: { type: "always_allow" } } },
  ],
});
const environment = await client.beta.environments.create({ name: "examples" });
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });

// A real model needs the question only. The demonstration model reads the tool call from the script behind it.
const call = { text: "I ask the shop.", tool: "mcp__shop__price", input: { item: "apple" } };
const script = model.startsWith("demo/") ? ` <<script[${JSON.stringify(call)}, {"text": "That is all."}]script>>` : "";
const text = `What does an apple cost?${script}`;

const stream = await client.beta.sessions.events.stream(session.id);
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text }] }],
});
for await (const event of stream) {
  if (event.type === "agent.message" || event.type === "agent.mcp_tool_result") {
    const who = event.type === "agent.message" ? "Agent" : "Shop";
    for (const block of event.content ?? []) if (block.type === "text") console.log(`${who}: ${block.text}`);
  } else if (event.type === "session.error") {
    console.error(`Error: ${event.error.message}`);
  } else if (event.type === "session.status_idle") {
    console.log(`Ended: ${event.stop_reason.type}`);
    process.exitCode = event.stop_reason.type === "end_turn" ? 0 : 1;
    break;
  }
}
server.close();
server.closeAllConnections();

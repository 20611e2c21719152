/**
 * A custom tool: the agent calls a function of your own program, here one that knows the stock of a shop.
 *
 *     GANTRY_API_KEY=... npx node examples/custom-tool.ts
 *
 * GANTRY_URL is http://127.0.0.1:8787 unless set. GANTRY_MODEL is the demonstration model, which needs no provider key.
 */
import Anthropic from "@anthropic-ai/sdk";

const { GANTRY_URL: baseURL = "http://127.0.0.1:8787", GANTRY_API_KEY: apiKey } = process.env;
const { GANTRY_MODEL: model = "demo/scripted" } = process.env;
if (!apiKey) throw new Error("Set GANTRY_API_KEY to an API key of your Gantry.");

const client = new Anthropic({ baseURL, apiKey });

const STOCK: Record<string, number> = { apples: 12, pears: 0 };
function stockOf(input: Record<string, unknown>): string {
  const item = String(input["item"]);
  return item in STOCK ? `${STOCK[item]} ${item} in stock` : `we do not sell ${item}`;
}

const agent = await client.beta.agents.create({
  name: "Shop assistant",
  model,
  tools: [
    {
      type: "custom",
      name: "stock",
      description: "How many pieces of an item the shop has.",
      input_schema: { type: "object", properties: { item: { type: "string" } }, required: ["item"] },
    },
  ],
});
const environment = await client.beta.environments.create({ name: "examples" });
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });

// A real model needs the question only. The demonstration model reads the tool call from the script behind it.
const call = { text: "I look it up.", tool: "mcp__client__stock", input: { item: "apples" } };
const script = model.startsWith("demo/") ? ` <<script[${JSON.stringify(call)}, {"text": "Yes, we do."}]script>>` : "";
const text = `Do we have apples?${script}`;

const stream = await client.beta.sessions.events.stream(session.id);
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text }] }],
});

for await (const event of stream) {
  if (event.type === "agent.message") {
    for (const block of event.content) if (block.type === "text") console.log(`Agent: ${block.text}`);
  } else if (event.type === "agent.custom_tool_use") {
    const result = stockOf(event.input);
    console.log(`Tool: ${event.name} ${JSON.stringify(event.input)} -> ${result}`);
    await client.beta.sessions.events.send(session.id, {
      events: [
        { type: "user.custom_tool_result", custom_tool_use_id: event.id, content: [{ type: "text", text: result }] },
      ],
    });
  } else if (event.type === "session.error") {
    console.error(`Error: ${event.error.message}`);
  } else if (event.type === "session.status_idle" && event.stop_reason.type !== "requires_action") {
    console.log(`Ended: ${event.stop_reason.type}`);
    process.exitCode = event.stop_reason.type === "end_turn" ? 0 : 1;
    break;
  }
}

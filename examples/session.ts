/**
 * One session from start to end: an agent, a prompt, and everything the agent says and does while it happens.
 *
 *     GANTRY_API_KEY=... npx node examples/session.ts ["Your prompt"]
 *
 * GANTRY_URL is http://127.0.0.1:8787 unless set. GANTRY_MODEL is the demonstration model, which needs no provider key.
 */
import Anthropic from "@anthropic-ai/sdk";

const { GANTRY_URL: baseURL = "http://127.0.0.1:8787", GANTRY_API_KEY: apiKey } = process.env;
const { GANTRY_MODEL: model = "demo/scripted" } = process.env;
if (!apiKey) throw new Error("Set GANTRY_API_KEY to an API key of your Gantry.");
const prompt = process.argv[2] ?? "Create a hello world app";

const client = new Anthropic({ baseURL, apiKey });

// Agents and environments last. A real program makes them once and keeps their ids.
const agent = await client.beta.agents.create({ name: "Helper", model, tools: [{ type: "agent_toolset_20260401" }] });
const environment = await client.beta.environments.create({ name: "examples" });

const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });
console.log(`Session: ${session.id}`);

// Open the stream first: it begins with the next event, so nothing of the run is missed.
const stream = await client.beta.sessions.events.stream(session.id);
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text: prompt }] }],
});

for await (const event of stream) {
  if (event.type === "agent.message") {
    for (const block of event.content) if (block.type === "text") console.log(`Agent: ${block.text}`);
  } else if (event.type === "agent.tool_use") {
    console.log(`Tool: ${event.name} ${JSON.stringify(event.input)}`);
  } else if (event.type === "session.error") {
    console.error(`Error: ${event.error.message}`);
  } else if (event.type === "session.status_idle") {
    // The session stays: send it another prompt and it goes on with its memory and its files.
    console.log(`Ended: ${event.stop_reason.type}`);
    process.exitCode = event.stop_reason.type === "end_turn" ? 0 : 1;
    break;
  }
}

const { usage } = await client.beta.sessions.retrieve(session.id);
console.log(`Tokens: ${usage.input_tokens ?? 0} in, ${usage.output_tokens ?? 0} out`);

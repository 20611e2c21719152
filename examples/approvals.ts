/**
 * Approvals: the agent may not run a command until you allow it.
 *
 *     GANTRY_API_KEY=... npx node examples/approvals.ts
 *
 * GANTRY_URL is http://127.0.0.1:8787 unless set. GANTRY_MODEL is the demonstration model, which needs no provider key.
 */
import Anthropic from "@anthropic-ai/sdk";
import { createInterface } from "node:readline/promises";

const { GANTRY_URL: baseURL = "http://127.0.0.1:8787", GANTRY_API_KEY: apiKey } = process.env;
const { GANTRY_MODEL: model = "demo/scripted" } = process.env;
if (!apiKey) throw new Error("Set GANTRY_API_KEY to an API key of your Gantry.");

const client = new Anthropic({ baseURL, apiKey });

const agent = await client.beta.agents.create({
  name: "Careful helper",
  model,
  // Reading and editing files is allowed. Each command is asked for.
  tools: [{ type: "agent_toolset_20260401", configs: [{ name: "bash", permission_policy: { type: "always_ask" } }] }],
});
const environment = await client.beta.environments.create({ name: "examples" });
const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });

const stream = await client.beta.sessions.events.stream(session.id);
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text: "Run node --version" }] }],
});

const calls = new Map<string, string>();
for await (const event of stream) {
  if (event.type === "agent.tool_use") calls.set(event.id, `${event.name} ${JSON.stringify(event.input)}`);
  if (event.type === "agent.message")
    for (const block of event.content) if (block.type === "text") console.log(`Agent: ${block.text}`);
  if (event.type === "session.error") console.error(`Error: ${event.error.message}`);
  if (event.type !== "session.status_idle") continue;
  if (event.stop_reason.type !== "requires_action") {
    console.log(`Ended: ${event.stop_reason.type}`);
    process.exitCode = event.stop_reason.type === "end_turn" ? 0 : 1;
    break;
  }
  // The run is parked. The answer may come hours later and from another program: GET /v1/approvals lists what waits.
  for (const id of event.stop_reason.event_ids) {
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await terminal.question(`Allow ${calls.get(id)}? [y/n] `);
    terminal.close();
    await client.beta.sessions.events.send(session.id, {
      events: [
        answer.trim().toLowerCase() === "y"
          ? { type: "user.tool_confirmation", tool_use_id: id, result: "allow" }
          : { type: "user.tool_confirmation", tool_use_id: id, result: "deny", deny_message: "The user said no." },
      ],
    });
  }
}

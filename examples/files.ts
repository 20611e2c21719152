/**
 * Files in and out: upload a file, let the agent sort it, and download what the agent made of it.
 *
 *     GANTRY_API_KEY=... npx node examples/files.ts
 *
 * GANTRY_URL is http://127.0.0.1:8787 unless set. GANTRY_MODEL is the demonstration model, which needs no provider key.
 */
import Anthropic, { toFile } from "@anthropic-ai/sdk";

const { GANTRY_URL: baseURL = "http://127.0.0.1:8787", GANTRY_API_KEY: apiKey } = process.env;
const { GANTRY_MODEL: model = "demo/scripted" } = process.env;
if (!apiKey) throw new Error("Set GANTRY_API_KEY to an API key of your Gantry.");

const client = new Anthropic({ baseURL, apiKey });

// In: an upload, mounted read-only in the agent's workspace. One upload can be mounted in many sessions.
const upload = await client.beta.files.upload({ file: await toFile(Buffer.from("Carol\nAlice\nBob\n"), "names.txt") });
console.log(`Uploaded: ${upload.filename} (${upload.size_bytes} bytes)`);

const agent = await client.beta.agents.create({ name: "Clerk", model, tools: [{ type: "agent_toolset_20260401" }] });
const environment = await client.beta.environments.create({ name: "examples" });
const session = await client.beta.sessions.create({
  agent: agent.id,
  environment_id: environment.id,
  resources: [{ type: "file", file_id: upload.id, mount_path: "/workspace/names.txt" }],
});

// Out: the agent leaves files in /mnt/session/outputs. On one machine that is a folder of the session's own, and not the
// machine's /mnt. Seen from the workspace, where commands start, it has the same relative path in both places.
const text = "Run sort names.txt > ../mnt/session/outputs/sorted.txt";
const stream = await client.beta.sessions.events.stream(session.id);
await client.beta.sessions.events.send(session.id, {
  events: [{ type: "user.message", content: [{ type: "text", text }] }],
});
for await (const event of stream) {
  if (event.type === "agent.message") {
    for (const block of event.content) if (block.type === "text") console.log(`Agent: ${block.text}`);
  } else if (event.type === "session.error") {
    console.error(`Error: ${event.error.message}`);
  } else if (event.type === "session.status_idle") {
    console.log(`Ended: ${event.stop_reason.type}`);
    process.exitCode = event.stop_reason.type === "end_turn" ? 0 : 1;
    break;
  }
}

// What the agent left is taken before the session goes idle.
for await (const file of client.beta.files.list({ scope_id: session.id })) {
  const content = await client.beta.files.download(file.id);
  console.log(`Made: ${file.filename}\n${await content.text()}`);
}

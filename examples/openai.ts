/**
 * The model router under OpenAI's SDK: the same client for every model that your Gantry has a route to.
 *
 *     GANTRY_API_KEY=... npx node examples/openai.ts ["Your question"]
 *
 * GANTRY_URL is http://127.0.0.1:8787 unless set. GANTRY_MODEL is the demonstration model, which needs no provider key.
 */
import OpenAI from "openai";

const { GANTRY_URL: url = "http://127.0.0.1:8787", GANTRY_API_KEY: apiKey } = process.env;
const { GANTRY_MODEL: model = "demo/scripted" } = process.env;
if (!apiKey) throw new Error("Set GANTRY_API_KEY to an API key of your Gantry.");
const question = process.argv[2] ?? "What is 7 * 6?";

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey });

const names: string[] = [];
for await (const { id } of client.models.list()) names.push(id);
console.log(`Models: ${names.join(", ")}`);

// The answer, piece by piece. No session and no agent: this is the model alone.
const stream = await client.chat.completions.create({
  model,
  messages: [{ role: "user", content: question }],
  stream: true,
  stream_options: { include_usage: true },
});
process.stdout.write("Answer: ");
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  if (chunk.usage) console.log(`\nTokens: ${chunk.usage.prompt_tokens} in, ${chunk.usage.completion_tokens} out`);
}

// Errors have OpenAI's shape, so the SDK throws its own classes.
try {
  await client.chat.completions.create({ model: "no/such-model", messages: [{ role: "user", content: question }] });
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  console.log(`An unknown model: ${error.message}`);
}

/**
 * A request of the size and shape that Claude Code sends: long instructions, fourteen tools with their schemas, and a
 * conversation of a few rounds with tool calls. Made from a list of words: meaningless, but always the same.
 */

const WORDS =
  "the file path command result check each only when before after change project test name line reads writes returns list value must never always directory search pattern text output error short answer plan step user asks";
const vocabulary = WORDS.split(" ");

/** Sentences of about `characters` characters; `seed` makes them differ from each other. */
function prose(characters: number, seed: number): string {
  const sentences: string[] = [];
  let length = 0;
  for (let state = seed + 1; length < characters;) {
    const words: string[] = [];
    for (let index = 0; index < 11; index++) {
      state = (state * 48_271) % 2_147_483_647;
      words.push(vocabulary[state % vocabulary.length] ?? "");
    }
    const sentence = `${words.join(" ")}.`;
    sentences.push(sentence.charAt(0).toUpperCase() + sentence.slice(1));
    length += sentence.length + 1;
  }
  return sentences.join("\n").slice(0, characters);
}

const TOOLS =
  "Bash Read Edit Write Grep Glob Agent WebFetch WebSearch NotebookEdit Skill TaskCreate TaskUpdate TaskList".split(
    " ",
  );
const TOOL_DESCRIPTION_CHARACTERS = 650;
const SYSTEM_CHARACTERS = 6_000;

function schema(seed: number): Record<string, unknown> {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    properties: {
      file_path: { type: "string", description: prose(90, seed) },
      pattern: { type: "string", description: prose(120, seed + 1), minLength: 1 },
      limit: { type: "integer", description: prose(60, seed + 2), exclusiveMinimum: 0, maximum: 600_000 },
      mode: { type: "string", enum: ["content", "files", "count"], description: prose(70, seed + 3) },
      options: {
        type: "array",
        items: { type: "object", properties: { key: { type: "string" }, on: { type: "boolean" } }, required: ["key"] },
      },
    },
    required: ["file_path"],
    additionalProperties: false,
  };
}

const MAX_TOKENS = 8_192;
/** Rounds of the conversation before the last prompt, each with a tool call and its result. */
const ROUNDS = 4;
const RESULT_CHARACTERS = 500;

const prompt = (round: number): string => prose(150, 300 + round);
const said = (round: number): string => prose(80, 400 + round);
const toolResult = (round: number): string => prose(RESULT_CHARACTERS, 500 + round);
const input = (round: number): Record<string, unknown> => ({
  file_path: `/workspace/part-${round}.ts`,
  limit: 100 + round,
});

/** In Anthropic's format. */
export function messagesBody(model: string, stream: boolean): string {
  const messages: unknown[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const id = `toolu_bench${round}`;
    messages.push(
      { role: "user", content: [{ type: "text", text: prompt(round) }] },
      {
        role: "assistant",
        content: [
          { type: "text", text: said(round) },
          { type: "tool_use", id, name: "Read", input: input(round) },
        ],
      },
      { role: "user", content: [{ type: "tool_result", tool_use_id: id, content: toolResult(round) }] },
      { role: "assistant", content: [{ type: "text", text: said(round + 50) }] },
    );
  }
  const cached = { cache_control: { type: "ephemeral" } };
  messages.push({ role: "user", content: [{ type: "text", text: prompt(99), ...cached }] });
  return JSON.stringify({
    model,
    max_tokens: MAX_TOKENS,
    stream,
    system: [
      { type: "text", text: prose(120, 1), ...cached },
      { type: "text", text: prose(SYSTEM_CHARACTERS, 2), ...cached },
    ],
    metadata: { user_id: "user_bench_account_bench_session_bench" },
    tools: TOOLS.map((name, index) => ({
      name,
      description: prose(TOOL_DESCRIPTION_CHARACTERS, index * 7),
      input_schema: schema(index * 11),
    })),
    messages,
  });
}

/** The same conversation in OpenAI's format. */
export function chatBody(model: string, stream: boolean): string {
  const messages: unknown[] = [{ role: "system", content: `${prose(120, 1)}\n${prose(SYSTEM_CHARACTERS, 2)}` }];
  for (let round = 0; round < ROUNDS; round++) {
    const id = `call_bench${round}`;
    messages.push(
      { role: "user", content: prompt(round) },
      {
        role: "assistant",
        content: said(round),
        tool_calls: [{ id, type: "function", function: { name: "Read", arguments: JSON.stringify(input(round)) } }],
      },
      { role: "tool", tool_call_id: id, content: toolResult(round) },
      { role: "assistant", content: said(round + 50) },
    );
  }
  messages.push({ role: "user", content: prompt(99) });
  return JSON.stringify({
    model,
    max_tokens: MAX_TOKENS,
    stream,
    ...(stream ? { stream_options: { include_usage: true } } : {}),
    tools: TOOLS.map((name, index) => ({
      type: "function",
      function: {
        name,
        description: prose(TOOL_DESCRIPTION_CHARACTERS, index * 7),
        parameters: schema(index * 11),
      },
    })),
    messages,
  });
}

/**
 * Rules for a newcomer's prompts. The first rule that applies answers.
 *
 * A rule sees the conversation since the prompt and returns the next step. It reports only what the tools really
 * answered.
 */
import { toSum } from "./arithmetic.ts";
import type { Conversation } from "./conversation.ts";
import { memoryText } from "./memory.ts";
import type { FileRequest } from "./phrases.ts";
import { toCommand, toFileRequest, toHelloApp, toListing, toReading } from "./phrases.ts";
import { explainFailure, fenced, fileText, printed, verdictOf } from "./reports.ts";
import type { Step } from "./step.ts";

/** One thing that the demonstration model can do. */
export interface Rule {
  readonly name: string;
  /** A prompt that this rule answers; shown to people. */
  readonly example: string;
  /** The next step, or null when the rule does not apply to the prompt. */
  next(conversation: Conversation): Step | null;
}

/** Small pieces with short pauses, so that a person sees the answer being written but waits only a fraction of a second. */
const PACE = { chunk: 16, chunkMs: 8 } as const;

/** The rules in order. `docs/demo-model.md` lists them. */
export const RULES: readonly Rule[] = [
  {
    name: "arithmetic",
    example: "What is 7 * 6?",
    next({ prompt }) {
      const sum = toSum(prompt);
      if (sum === null) return null;
      return {
        text:
          sum.value === null
            ? `${sum.expression} has no value: it divides by zero.`
            : `${sum.expression} = ${sum.value}`,
      };
    },
  },
  {
    name: "hello world",
    example: "Create a hello world app",
    next(conversation) {
      const app = toHelloApp(conversation.prompt);
      if (app === null) return null;
      const writing = writeStep(conversation, app, `I'll write ${app.file}, then run it.`);
      if (writing !== null) return writing;
      const run = conversation.outcomes.find((outcome) => outcome.name === "Bash");
      if (run === undefined) {
        return callOr(
          conversation,
          "Bash",
          { command: app.command, description: `Run ${app.file}` },
          `${app.file} is written. Now I'll run it.`,
        );
      }
      if (verdictOf(run) !== "done")
        return { text: `${app.file} is written. ${explainFailure(run, `run \`${app.command}\``)}` };
      return { text: `I wrote ${app.file} and ran \`${app.command}\`. ${printed(run)}` };
    },
  },
  {
    name: "create a file",
    example: "Create notes.txt containing hello",
    next(conversation) {
      const request = toFileRequest(conversation.prompt);
      if (request === null) return null;
      const writing = writeStep(conversation, request, `I'll create ${request.file}.`);
      if (writing !== null) return writing;
      const content = request.content === "" ? "It is empty." : `It contains:\n\n${fenced(request.content)}`;
      return { text: `I created ${request.file}. ${content}` };
    },
  },
  {
    name: "run a command",
    example: "Run node --version",
    next(conversation) {
      const command = toCommand(conversation.prompt);
      if (command === null) return null;
      const run = conversation.outcomes.at(-1);
      if (run === undefined) {
        return callOr(
          conversation,
          "Bash",
          { command, description: "Run the command that was asked for" },
          `I'll run \`${command}\`.`,
        );
      }
      if (verdictOf(run) !== "done") return { text: explainFailure(run, `run \`${command}\``) };
      return { text: `I ran \`${command}\`. ${printed(run)}` };
    },
  },
  {
    name: "list files",
    example: "List the files",
    next(conversation) {
      const listing = toListing(conversation.prompt);
      if (listing === null) return null;
      const directory = listing.directory ?? "the working directory";
      const seen = conversation.outcomes.at(-1);
      if (seen === undefined) {
        const say = `I'll look in ${directory}.`;
        const command = listing.directory === null ? "ls -la" : `ls -la -- ${shellQuoted(listing.directory)}`;
        if (conversation.tools.has("Bash") || !conversation.tools.has("Glob")) {
          return callOr(conversation, "Bash", { command, description: "List the files" }, say);
        }
        const path = listing.directory === null ? {} : { path: toPath(conversation, listing.directory) };
        return callOr(conversation, "Glob", { pattern: "*", ...path }, say);
      }
      if (verdictOf(seen) !== "done") return { text: explainFailure(seen, `list ${directory}`) };
      return { text: `In ${directory}:\n\n${fenced(seen.output ?? "")}` };
    },
  },
  {
    name: "read a file",
    example: "Read notes.txt",
    next(conversation) {
      const file = toReading(conversation.prompt);
      if (file === null) return null;
      const read = conversation.outcomes.at(-1);
      if (read === undefined) {
        return callOr(conversation, "Read", { file_path: toPath(conversation, file) }, `I'll read ${file}.`);
      }
      if (verdictOf(read) !== "done") return { text: explainFailure(read, `read ${file}`) };
      const text = fileText(read);
      return { text: text === "" ? `${file} is empty.` : `${file} contains:\n\n${fenced(text)}` };
    },
  },
  {
    name: "remember",
    example: "What did I ask before?",
    next(conversation) {
      const text = memoryText(conversation);
      return text === null ? null : { text };
    },
  },
];

/** Newcomers write short sentences. A longer prompt would only make the patterns slow. */
const MAX_PROMPT = 10_000;

/** The next step for a prompt without a script. */
export function ruleStep(conversation: Conversation): Step {
  for (const rule of conversation.prompt.length > MAX_PROMPT ? [] : RULES) {
    const step = rule.next(conversation);
    if (step !== null) return { ...PACE, ...step };
  }
  return { ...PACE, text: helpText() };
}

function helpText(): string {
  const examples = RULES.map((rule) => `- ${rule.example}`).join("\n");
  return (
    "I am the scripted demonstration model: I follow a few fixed rules and understand nothing else. The engine around me " +
    `is the real Claude Code, so what I do with files and commands really happens. Try one of these:\n\n${examples}\n\n` +
    "To talk to a real model, start the server with a provider's key in its environment, `ANTHROPIC_API_KEY`, " +
    "`OPENROUTER_API_KEY`, `GROQ_API_KEY` or `OPENAI_API_KEY`, and ask for one of its models."
  );
}

/**
 * The next step of writing a file; null when it is written. The engine refuses to replace a file it has not read, so an
 * existing one is read first.
 */
function writeStep(conversation: Conversation, request: FileRequest, say: string): Step | null {
  const path = toPath(conversation, request.file);
  const write = { file_path: path, content: request.content };
  const last = conversation.outcomes.findLast((outcome) => outcome.name === "Write" || outcome.name === "Read");
  if (last === undefined) return callOr(conversation, "Write", write, say);
  const reads = conversation.outcomes.filter((outcome) => outcome.name === "Read").length;
  const verdict = verdictOf(last);
  if (last.name === "Read" && verdict === "done") return callOr(conversation, "Write", write, "Now I'll replace it.");
  if (verdict === "done") return null;
  if (
    last.name === "Write" &&
    reads === 0 &&
    /has not been read/i.test(last.output ?? "") &&
    conversation.tools.has("Read")
  ) {
    return callOr(conversation, "Read", { file_path: path }, `${request.file} already exists, so I'll read it first.`);
  }
  return { text: explainFailure(last, last.name === "Write" ? `write ${request.file}` : `read ${request.file}`) };
}

/** A tool call, or a text that says the request does not offer the tool. */
function callOr(conversation: Conversation, tool: string, input: Record<string, unknown>, say: string): Step {
  if (conversation.tools.has(tool)) return { text: say, tool, input };
  return {
    text: `I would use the ${tool} tool for this, but the request does not offer it. Ask through a session, where the engine brings its tools.`,
  };
}

/** The engine's file tools want absolute paths. */
function toPath(conversation: Conversation, file: string): string {
  const directory = conversation.workingDirectory;
  if (file.startsWith("/") || directory === null) return file;
  return `${directory.replace(/\/$/, "")}/${file.replace(/^(?:\.\/)+/, "")}`;
}

function shellQuoted(text: string): string {
  return /^[\w./@+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

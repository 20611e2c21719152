import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { query } from "@anthropic-ai/claude-agent-sdk";
import type { HookJSONOutput, Options, Query, SDKMessage, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { AnsweredCall, EngineStart, PermissionMode, ToolAnswer } from "@gantry/protocol/link.ts";
import { SpokenPlan, attended, toolsOf } from "./attended.ts";
import type { EngineBlock } from "../mounts/prompt-files.ts";
import { engineEnvironment, engineModel, engineTools, isClaude } from "./environment.ts";
import type { SessionFolders } from "./environment.ts";
import type { Resumption } from "./resume.ts";

/** The only file that talks to the Agent SDK. */

/** What an engine is started with and cannot change afterwards. A run that wants other values gets a new engine. */
export function engineProfile(command: EngineStart): string {
  const {
    maxTurns,
    maxBudgetUsd,
    appendSystemPrompt,
    allowedTools,
    disallowedTools,
    effort,
    model,
    agent,
    permissionMode,
  } = command.options;
  return JSON.stringify([
    maxTurns,
    maxBudgetUsd,
    appendSystemPrompt,
    allowedTools,
    disallowedTools,
    effort,
    isClaude(model),
    agent,
    command.models,
    // The plan mode has a tool more.
    agent !== undefined && permissionMode === "plan",
    // What git is told in its environment.
    (command.mounts ?? []).filter((mount) => mount.type === "repository").map(({ id }) => id),
  ]);
}

/** Whether something is likely to be told beside its prompts: of its places, by its agent's operator. */
function isTold({ options, mounts = [] }: EngineStart): boolean {
  return options.agent !== undefined || mounts.length > 0;
}

/** What is asked about a tool call: whether it may run, or what the client answers to it. */
export interface ToolRequest {
  readonly kind: "permission" | "client" | "peer" | "worker";
  /** The model's id of the call. */
  readonly toolUseId: string;
  readonly tool: string;
  readonly input: Record<string, unknown>;
  /** With `worker`: whether somebody has to allow the call first. */
  readonly permission?: "allow" | "ask";
  /** The engine's id of the sub-agent that calls; undefined: the main agent. */
  readonly agentId?: string | undefined;
}

/** What a run asks of its engine beside its profile. */
export interface EngineWants {
  /** Something is told to the model beside the prompt. */
  readonly told?: boolean;
  /** Hears where in the queue for a start it is. */
  readonly onWait?: (position: number) => void;
  /** The run goes on from calls that waited. */
  readonly resume?: readonly AnsweredCall[];
}

export interface EngineHandlers {
  /** Each message of the engine, in order. */
  readonly onMessage: (message: SDKMessage) => void;
  /** A tool waits for somebody: permission (`input` as the model gave it), or the client's own tool. */
  readonly onToolRequest: (request: ToolRequest, signal: AbortSignal) => Promise<ToolAnswer>;
  /** The engine is gone, once, however it ended; `reason` says what is known. */
  readonly onExit: (reason: string) => void;
}

/** Ends with the runner: a runner that is killed must not leave an engine working for nobody (Linux only). */
const SETPRIV = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => process.platform === "linux" && existsSync(path));

/**
 * One live `claude` process with streaming input: a prompt goes in, messages come out, and it stays for the next one.
 */
export class Engine {
  readonly #profile: string;
  /** Whether it asks, with each prompt, what it is told beside it: that takes some milliseconds of every run. */
  readonly #asks: boolean;
  readonly #query: Query;
  readonly #input = new PromptInput();
  readonly #stderr: string[] = [];
  #model: string;
  #permissionMode: PermissionMode;
  /** What the operator says with the next prompt: the engine takes it from a hook and tells it to the model as its system's. */
  #context: string | null = null;
  readonly #spoken = new SpokenPlan();
  #exited = false;

  constructor(args: {
    readonly command: EngineStart;
    readonly folders: SessionFolders;
    readonly marker: string;
    readonly path: string;
    readonly caFile?: string | undefined;
    readonly resume: boolean;
    /** The engine goes on with a conversation that waited, by itself and without a prompt. */
    readonly resumption: Resumption | null;
    readonly told?: boolean | undefined;
    readonly handlers: EngineHandlers;
  }) {
    const { command, folders } = args;
    const { options } = command;
    const { resumption } = args;
    // What a resumed engine is set up with is for this run alone.
    this.#profile = resumption ? "" : engineProfile(command);
    this.#asks = args.told === true || isTold(command);
    this.#model = options.model;
    this.#permissionMode = options.permissionMode;
    const tools = options.agent ? toolsOf(options.agent, options.permissionMode) : engineTools(options.model);
    const attendance: Partial<Options> = options.agent
      ? attended(options.agent, command.models, args.handlers.onToolRequest, folders, this.#spoken)
      : {};
    const sdkOptions: Options = {
      cwd: folders.workspace,
      // Uploads are read there, and what the user gets is left there.
      additionalDirectories: [folders.mnt],
      env: {
        ...engineEnvironment({
          folders,
          models: command.models,
          mounts: command.mounts ?? [],
          model: options.model,
          marker: args.marker,
          path: args.path,
          caFile: args.caFile,
          isRoot: process.getuid?.() === 0,
        }),
        // A deferred call makes the engine go on by itself; without one it has to be told to.
        ...(resumption && !resumption.runs ? { CLAUDE_CODE_RESUME_INTERRUPTED_TURN: "1" } : {}),
      },
      model: engineModel(options.model),
      maxTurns: options.maxTurns,
      permissionMode: options.permissionMode,
      // Lets a later run of the same engine switch to it; by itself it permits nothing.
      allowDangerouslySkipPermissions: true,
      systemPrompt: {
        type: "preset",
        preset: "claude_code",
        ...(options.appendSystemPrompt ? { append: options.appendSystemPrompt } : {}),
      },
      // A workspace is data: without these two a cloned repository configures the engine and takes its key.
      settingSources: [],
      strictMcpConfig: true,
      forwardSubagentText: true,
      includePartialMessages: true,
      ...(args.resume ? { resume: command.engineSessionId } : { sessionId: command.engineSessionId }),
      ...(isClaude(options.model) ? {} : { thinking: { type: "disabled" } }),
      ...(tools ? { tools } : {}),
      ...attendance,
      hooks: {
        ...attendance.hooks,
        ...(this.#asks ? { UserPromptSubmit: [{ hooks: [() => Promise.resolve(this.#tell())] }] } : {}),
      },
      // The engine may take the call up before it knows our hooks: a rule has it ask for what was changed in it.
      ...(resumption?.runs?.answer.type === "allow" && resumption.runs.answer.updatedInput
        ? { settings: { permissions: { ask: [resumption.runs.tool] } } }
        : {}),
      ...(options.maxBudgetUsd === undefined ? {} : { maxBudgetUsd: options.maxBudgetUsd }),
      ...(options.allowedTools ? { allowedTools: options.allowedTools } : {}),
      ...(options.disallowedTools ? { disallowedTools: options.disallowedTools } : {}),
      ...(options.effort ? { effort: options.effort } : {}),
      spawnClaudeCodeProcess: ({ command: program, args: argv, cwd, env }) => {
        const [file, prefix] = SETPRIV ? [SETPRIV, ["--pdeathsig", "KILL", program]] : [program, []];
        const child = spawn(file, [...prefix, ...argv], { cwd, env, stdio: ["pipe", "pipe", "pipe"] });
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
          this.#stderr.push(text);
          if (this.#stderr.length > 50) this.#stderr.shift();
        });
        return child;
      },
    };
    this.#query = query({ prompt: this.#input, options: sdkOptions });
    const ended = this.#pump(args.handlers);
    const initialized = this.#query.initializationResult().then(
      () => undefined,
      () => undefined,
    );
    this.started = Promise.race([initialized, ended]);
  }

  /** Resolves when the engine has started, or has failed to. Its first prompt need not wait for this. */
  readonly started: Promise<void>;

  get alive(): boolean {
    return !this.#exited;
  }

  /** Whether it can take a prompt of this kind. */
  fits(start: EngineStart, { told }: EngineWants): boolean {
    return this.alive && this.#profile === engineProfile(start) && (this.#asks || !told);
  }

  /** Gives it a prompt, after switching model and permission mode where they differ. Rejects when the engine is gone. */
  async prompt(
    content: readonly EngineBlock[],
    model: string,
    permissionMode: PermissionMode,
    context: string | null,
  ): Promise<void> {
    if (model !== this.#model) {
      await this.#query.setModel(engineModel(model));
      this.#model = model;
    }
    if (permissionMode !== this.#permissionMode) {
      await this.#query.setPermissionMode(permissionMode);
      this.#permissionMode = permissionMode;
    }
    this.#context = context;
    this.#input.push({
      type: "user",
      message: { role: "user", content: content as SDKUserMessage["message"]["content"] },
      parent_tool_use_id: null,
    });
  }

  /** Asks the engine to stop what it does and to stay. Resolves when it has heard; the result comes as a message. */
  async interrupt(): Promise<void> {
    await this.#query.interrupt();
  }

  /** Ends the input; the engine gets two seconds, then SIGTERM. */
  close(): void {
    this.#input.end();
    this.#query.close();
  }

  #tell(): HookJSONOutput {
    const additionalContext = this.#context;
    this.#context = null;
    if (additionalContext === null) return {};
    return { hookSpecificOutput: { hookEventName: "UserPromptSubmit", additionalContext } };
  }

  async #pump(handlers: EngineHandlers): Promise<void> {
    let reason = "The engine ended.";
    try {
      for await (const message of this.#query) {
        // A plan that was allowed ends the plan mode.
        if (message.type === "system" && message.subtype === "status" && message.permissionMode)
          this.#permissionMode = message.permissionMode as PermissionMode;
        this.#spoken.hear(message);
        handlers.onMessage(message);
      }
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    this.#exited = true;
    const stderr = this.#stderr.join("").trim();
    handlers.onExit(stderr ? `${reason}\n${stderr.slice(-2000)}` : reason);
  }
}

/** The engine's input: an endless iterable that one prompt after another is put into. */
class PromptInput implements AsyncIterable<SDKUserMessage> {
  #waiting: SDKUserMessage[] = [];
  #wake: (() => void) | null = null;
  #ended = false;

  push(message: SDKUserMessage): void {
    this.#waiting.push(message);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SDKUserMessage, void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next) yield next;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

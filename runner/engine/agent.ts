import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { query } from "@anthropic-ai/claude-agent-sdk";
import type { HookJSONOutput, Options, Query, SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { EngineStart } from "@gantry/protocol/link.ts";
import type { PermissionMode } from "@gantry/protocol/permission-mode.ts";
import { guard, guarded } from "../base/guarded.ts";
import { ProposedPlan, attended, toolsOf } from "./attended.ts";
import type { SessionFolders } from "../folders/session-folders.ts";
import type { EngineBlock } from "../mounts/prompt-files.ts";
import type { EngineHandlers, EngineWants } from "./contract.ts";
import { engineEnvironment, engineModel, engineTools, isClaude } from "./environment.ts";
import { engineProfile, expectsContext } from "./profile.ts";
import { PromptInput } from "./prompt-input.ts";
import type { Resumption } from "./resume.ts";

/** The only file that calls the Agent SDK. Others import its types only. */

/** Program that makes the engine die with the runner, so that a killed runner leaves no engine behind (Linux only). */
const SETPRIV = ["/usr/bin/setpriv", "/bin/setpriv"].find((path) => process.platform === "linux" && existsSync(path));

/**
 * One live `claude` process with streaming input: a prompt goes in, messages come out, and it stays alive for the next one.
 */
export class Engine {
  readonly #profile: string;
  /** Whether a hook asks for context with each prompt. It costs every run some milliseconds. */
  readonly #asksForContext: boolean;
  readonly #query: Query;
  readonly #input = new PromptInput();
  readonly #stderr: string[] = [];
  #model: string;
  #permissionMode: PermissionMode;
  /** Context for the next prompt. The engine reads it from a hook and shows it to the model as a system message. */
  #context: string | null = null;
  readonly #plan = new ProposedPlan();
  #exited = false;

  constructor(args: {
    readonly command: EngineStart;
    readonly folders: SessionFolders;
    /** Marks the engine's processes; see `processes.ts`. */
    readonly marker: string;
    /** PATH of the engine. */
    readonly path: string;
    readonly caFile?: string | undefined;
    /** Whether the conversation exists already. */
    readonly resume: boolean;
    /** Set when the engine is to continue a conversation that waited for answers, without a prompt. */
    readonly resumption: Resumption | null;
    /** See `EngineWants`. */
    readonly hasContext?: boolean | undefined;
    readonly handlers: EngineHandlers;
  }) {
    const { command, folders } = args;
    const { options } = command;
    const { resumption } = args;
    // A resumed engine is set up for this run alone, so it fits no other.
    this.#profile = resumption ? "" : engineProfile(command);
    this.#asksForContext = args.hasContext === true || expectsContext(command);
    this.#model = options.model;
    this.#permissionMode = options.permissionMode;
    const tools = options.agent ? toolsOf(options.agent, options.permissionMode) : engineTools(options.model);
    const attendance: Partial<Options> = options.agent
      ? attended(options.agent, command.models, args.handlers.onToolRequest, folders, this.#plan)
      : {};
    const sdkOptions: Options = {
      cwd: folders.workspace,
      // Uploads are mounted there, and the agent leaves its outputs there.
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
        // With a deferred call the engine continues by itself; without one this makes it continue.
        ...(resumption && !resumption.runs ? { CLAUDE_CODE_RESUME_INTERRUPTED_TURN: "1" } : {}),
      },
      model: engineModel(options.model),
      maxTurns: options.maxTurns,
      permissionMode: options.permissionMode,
      // Lets a later run of this engine switch to that mode. By itself it permits nothing.
      allowDangerouslySkipPermissions: true,
      systemPrompt: {
        type: "preset",
        preset: "claude_code",
        ...(options.appendSystemPrompt ? { append: options.appendSystemPrompt } : {}),
      },
      // A workspace is data. Without these two settings a cloned repository can configure the engine and steal its token.
      settingSources: [],
      strictMcpConfig: true,
      // A prompt is data too. Otherwise `@path` in it reads any file past every policy, and `/model` changes the model.
      verbatimPrompts: true,
      forwardSubagentText: true,
      includePartialMessages: true,
      ...(args.resume ? { resume: command.engineSessionId } : { sessionId: command.engineSessionId }),
      ...(isClaude(options.model) ? {} : { thinking: { type: "disabled" } }),
      ...(tools ? { tools } : {}),
      ...attendance,
      hooks: {
        ...attendance.hooks,
        ...(this.#asksForContext
          ? { UserPromptSubmit: [{ hooks: [() => Promise.resolve(this.#takeContext())] }] }
          : {}),
      },
      // The engine may run the call before it knows our hooks. This rule makes it ask first, and the answer changes the input.
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
        const keep = (text: string): void => {
          this.#stderr.push(text);
          if (this.#stderr.length > 50) this.#stderr.shift();
        };
        child.stderr.setEncoding("utf8").on("data", guarded("engine_stderr", keep));
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

  /** Resolves when the engine has started or failed to start. The first prompt need not wait for this. */
  readonly started: Promise<void>;

  /** Whether the process has not exited yet. */
  get alive(): boolean {
    return !this.#exited;
  }

  /** Whether it is alive and can take a prompt with these settings. */
  fits(start: EngineStart, { hasContext }: EngineWants): boolean {
    return this.alive && this.#profile === engineProfile(start) && (this.#asksForContext || !hasContext);
  }

  /** Switches model and permission mode if they differ, then gives it the prompt. Rejects when the engine has exited. */
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

  /** Asks the engine to stop the turn and stay alive. Resolves when it has accepted; the result comes as a message. */
  async interrupt(): Promise<void> {
    await this.#query.interrupt();
  }

  /** Ends the input. The engine gets SIGTERM after two seconds. */
  close(): void {
    this.#input.end();
    this.#query.close();
  }

  #takeContext(): HookJSONOutput {
    const additionalContext = this.#context;
    this.#context = null;
    if (additionalContext === null) return {};
    return { hookSpecificOutput: { hookEventName: "UserPromptSubmit", additionalContext } };
  }

  async #pump(handlers: EngineHandlers): Promise<void> {
    let reason = "The engine ended.";
    try {
      for await (const message of this.#query) {
        // An approved plan ends plan mode.
        if (message.type === "system" && message.subtype === "status" && message.permissionMode)
          this.#permissionMode = message.permissionMode as PermissionMode;
        this.#plan.hear(message);
        handlers.onMessage(message);
      }
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
    this.#exited = true;
    const stderr = this.#stderr.join("").trim();
    guard("engine_exit", () => handlers.onExit(stderr ? `${reason}\n${stderr.slice(-2000)}` : reason));
  }
}

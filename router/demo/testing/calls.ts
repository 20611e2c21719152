/** Calls the demonstration model in tests: a Messages request, and effects without a clock or a network. */
import type { Effects } from "../../base/effects.ts";
import type { Usage } from "../../base/usage.ts";
import type { MessagesBody } from "../../request/request.ts";
import type { Deployment } from "../../routes/deployment.ts";
import { requestOf } from "../../testing/request-of.ts";
import type { UpstreamCall } from "../../upstreams/upstream.ts";

export const ENVIRONMENT =
  "# Environment\nYou have been invoked in the following environment: \n - Primary working directory: /workspace\n - Is a git repository: false\n - Platform: linux";

/** A first prompt as Claude Code sends it. */
export function engineBody(prompt: string, ...more: unknown[]): MessagesBody {
  return {
    model: "demo/claude",
    max_tokens: 1000,
    stream: true,
    system: [{ type: "text", text: "You are a Claude agent, built on Anthropic's Claude Agent SDK." }],
    tools: ["Bash", "Edit", "Read", "Write"].map((name) => ({ name, input_schema: { type: "object" } })),
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "<system-reminder>\nAttribution for git commits: none.\n</system-reminder>\n" },
          { type: "text", text: prompt },
        ],
      },
      { role: "system", content: ENVIRONMENT },
      ...more,
    ],
  };
}

export function scripted(...steps: unknown[]): string {
  return `Go on. <<script${JSON.stringify(steps)}script>>`;
}

/** A tool call and its result, as the engine puts them into the next request. */
export function exchange(name: string, input: unknown, content: unknown, isError = false): unknown[] {
  const id = `toolu_${name}_${JSON.stringify(input).length}`;
  return [
    { role: "assistant", content: [{ type: "tool_use", id, name, input }] },
    {
      role: "user",
      content: [{ type: "tool_result", tool_use_id: id, content, ...(isError ? { is_error: true } : {}) }],
    },
  ];
}

const DEPLOYMENT: Deployment = {
  id: "demo",
  route: "demo/*",
  provider: "demo",
  model: "claude",
  apiBase: "",
  auth: "none",
  apiFormat: "demo",
  params: { extraHeaders: {}, extraBody: {}, defaults: {}, dropParams: [] },
};

export interface TestCall extends UpstreamCall {
  readonly usages: Usage[];
  readonly abort: AbortController;
}

export async function testCall(body: MessagesBody, kind: UpstreamCall["kind"] = "messages"): Promise<TestCall> {
  const usages: Usage[] = [];
  const abort = new AbortController();
  return {
    request: await requestOf(body, kind),
    kind,
    inbound: new Headers(),
    search: "",
    requestId: "req_test",
    deployment: DEPLOYMENT,
    signal: abort.signal,
    onUsage: (usage) => usages.push(usage),
    usages,
    abort,
  };
}

export interface TestDeps extends Effects {
  /** Every requested wait, in order. */
  readonly waits: number[];
  /** Waits that neither ended nor were aborted. */
  open(): number;
}

/** Waits end at once, except those of `blockingMs`, which end only through their signal. */
export function testDeps(blockingMs?: number): TestDeps {
  const waits: number[] = [];
  let open = 0;
  let ids = 0;
  return {
    fetch: () => Promise.reject(new Error("The demonstration model never calls the network.")),
    now: () => 0,
    random: () => 0,
    newId: (prefix) => `${prefix}_${++ids}`,
    sleep(ms, signal) {
      waits.push(ms);
      if (signal?.aborted) return Promise.reject(signal.reason);
      if (ms !== blockingMs) return Promise.resolve();
      open++;
      return new Promise((_resolve, reject) => {
        signal?.addEventListener("abort", () => {
          open--;
          reject(signal.reason);
        });
      });
    },
    waits,
    open: () => open,
  };
}

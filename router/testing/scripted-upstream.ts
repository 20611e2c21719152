/** Providers that a test scripts: the answers of each address, in order, and a record of the router's requests. */
import type { UsageRecord } from "../base/usage.ts";
import { parseRouterConfig } from "../config/config.ts";
import { createRouter, type Router, type RouterDeps } from "../router.ts";
import { VirtualClock } from "./virtual-clock.ts";

const encoder = new TextEncoder();

export interface Asked {
  readonly url: string;
  readonly headers: Headers;
  readonly body: string;
  readonly signal: AbortSignal;
  /** Whether the router has cancelled the answer's body. */
  cancelled: boolean;
}

/** A scripted provider's reaction: the n-th step for the n-th request, and the last one for all others. */
export type Step = (asked: Asked) => Response | Promise<Response>;

export class ScriptedProviders {
  readonly asked: Asked[] = [];
  readonly #scripts: Readonly<Record<string, readonly Step[]>>;
  readonly #counts = new Map<string, number>();

  /** `scripts`: steps by host name. */
  constructor(scripts: Readonly<Record<string, readonly Step[]>>) {
    this.#scripts = scripts;
  }

  readonly fetch: typeof fetch = async (input, init) => {
    // Upstreams pass the address as text.
    const url = new URL(input as string);
    const steps = this.#scripts[url.hostname];
    if (steps === undefined) throw new TypeError("fetch failed");
    const nth = this.#counts.get(url.hostname) ?? 0;
    this.#counts.set(url.hostname, nth + 1);
    const asked: Asked = {
      url: url.href,
      headers: new Headers(init?.headers as Headers),
      body: new TextDecoder().decode(init?.body as Uint8Array),
      signal: init?.signal as AbortSignal,
      cancelled: false,
    };
    this.asked.push(asked);
    const step = steps[Math.min(nth, steps.length - 1)];
    if (step === undefined) throw new TypeError("fetch failed");
    return step(asked);
  };

  hosts(): string[] {
    return this.asked.map(({ url }) => new URL(url).hostname);
  }
}

export const frame = (type: string, more: object = {}): string =>
  `event: ${type}\ndata: ${JSON.stringify({ type, ...more })}\n\n`;

/** The start of a message as Anthropic sends it. Clients rely on every field. */
const EMPTY_MESSAGE = {
  id: "msg_up",
  type: "message",
  role: "assistant",
  model: "up",
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage: { input_tokens: 10, output_tokens: 1 },
};
export const START =
  frame("message_start", { message: EMPTY_MESSAGE }) +
  frame("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
export const delta = (text: string): string =>
  frame("content_block_delta", { index: 0, delta: { type: "text_delta", text } });
export const STOP =
  frame("content_block_stop", { index: 0 }) +
  frame("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 7 } }) +
  frame("message_stop");

/** A complete stream, sent piece by piece. */
export const stream =
  (...pieces: string[]): Step =>
  (asked) =>
    streamResponse(asked, async (send) => {
      for (const piece of pieces) send(piece);
    });

/** A stream that the test writes. It closes when `write` is done and breaks when `write` throws. */
export function streamResponse(asked: Asked, write: (send: (text: string) => void) => Promise<void>): Response {
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      asked.signal.addEventListener("abort", () => {
        asked.cancelled = true;
        try {
          controller.error(asked.signal.reason);
        } catch {
          // Already closed.
        }
      });
      const run = async (): Promise<void> => {
        try {
          await write((text) => controller.enqueue(encoder.encode(text)));
          if (!asked.cancelled) controller.close();
        } catch (error) {
          if (!asked.cancelled) controller.error(error);
        }
      };
      void run();
    },
    cancel() {
      asked.cancelled = true;
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream", "request-id": "req_up" } });
}

export const message =
  (text = "Hello"): Step =>
  () =>
    Response.json({
      type: "message",
      content: [{ type: "text", text }],
      usage: { input_tokens: 10, output_tokens: 7 },
    });

export const fails =
  (status: number, type: string, text = "Scripted.", headers: Record<string, string> = {}): Step =>
  () =>
    Response.json({ type: "error", error: { type, message: text } }, { status, headers });

/** Never answers, and ends when the router gives up. */
export const hangs: Step = ({ signal }) =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });

export const unreachable: Step = () => {
  throw new TypeError("fetch failed");
};

export interface Rig {
  readonly router: Router;
  readonly clock: VirtualClock;
  readonly providers: ScriptedProviders;
  readonly records: UsageRecord[];
  readonly logs: Record<string, unknown>[];
  /** Posts to `/v1/messages`. `fields` override those of a minimal body. */
  post(
    fields?: Record<string, unknown>,
    init?: { signal?: AbortSignal; account?: string; headers?: Record<string, string> },
  ): Promise<Response>;
}

/** A router over scripted providers, with its own clock and without randomness: the first of equals is picked. */
export function rig(
  yaml: string,
  scripts: Readonly<Record<string, readonly Step[]>>,
  deps: Partial<RouterDeps> = {},
): Rig {
  const clock = new VirtualClock();
  const providers = new ScriptedProviders(scripts);
  const records: UsageRecord[] = [];
  const logs: Record<string, unknown>[] = [];
  const { config, problems } = parseRouterConfig(yaml);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  let ids = 0;
  const router = createRouter(config, {
    env: { ANTHROPIC_API_KEY: "sk-ant-own" },
    fetch: providers.fetch,
    now: clock.now,
    random: () => 0,
    sleep: clock.sleep,
    newId: (prefix) => `${prefix}_${++ids}`,
    log: (entry) => logs.push(entry),
    onUsage: (record) => records.push(record),
    ...deps,
  });
  return {
    router,
    clock,
    providers,
    records,
    logs,
    post: (fields = {}, { signal, account = "acct", headers = {} } = {}) =>
      router.messages(
        new Request("http://router.test/v1/messages?beta=true", {
          method: "POST",
          headers: { "content-type": "application/json", ...headers },
          body: JSON.stringify({ model: "m", max_tokens: 100, messages: [{ role: "user", content: "Hi" }], ...fields }),
          ...(signal === undefined ? {} : { signal }),
        }),
        { account, keyId: "key", sessionId: null },
      ),
  };
}

/** A `model_list` with one entry `m` per host, plus further YAML lines. */
export function hostsConfig(hosts: readonly string[], rest = "", extra: Readonly<Record<string, string>> = {}): string {
  const entries = hosts.map(
    (host) =>
      `  - model_name: m\n    litellm_params: {model: anthropic/up, api_base: "http://${host}", api_key: k${extra[host] ?? ""}}`,
  );
  return `model_list:\n${entries.join("\n")}\n${rest}`;
}

export function eventNames(text: string): string[] {
  return [...text.matchAll(/^event: (\w+)$/gm)].map((match) => match[1] ?? "");
}

/** Budgets as production has them: the router of `modelsOf` over the ledger object, with scripted providers. */
import { DatabaseSync } from "node:sqlite";
import type { UsageRecord } from "@gantry/router/base/usage.ts";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Env } from "../base/env.ts";

const waiting: Promise<unknown>[] = [];
vi.mock("cloudflare:workers", () => ({
  DurableObject: class {
    readonly ctx: unknown;
    readonly env: unknown;
    constructor(ctx: unknown, env: unknown) {
      this.ctx = ctx;
      this.env = env;
    }
  },
  waitUntil: (work: Promise<unknown>) => waiting.push(work),
}));
vi.mock("../../litellm_config.yaml", () => ({ default: "" }));
const { modelsOf } = await import("../models/models.ts");
const { Ledger } = await import("./ledger.ts");

/** The storage of a Durable Object, in memory. */
function storage(): unknown {
  const database = new DatabaseSync(":memory:");
  const sql = {
    exec: (query: string, ...values: string[]) => {
      const rows = database.prepare(query).all(...values);
      return { toArray: () => rows, one: () => rows[0] };
    },
  };
  return { sql, transactionSync: (work: () => void) => work() };
}

interface Answer {
  readonly status?: number;
  readonly usage?: object;
}

/** An installation with routes and limits. Its providers answer each call with `answer`. */
class Installation {
  readonly ledgers = new Map<string, InstanceType<typeof Ledger>>();
  readonly env: Env;
  answer: Answer = {};
  asked = 0;

  constructor(routes: string, limits: { account?: string; session?: string }) {
    const settings = {
      ANTHROPIC_API_KEY: "k",
      LITELLM_CONFIG_TEXT: `${routes}\nrouter_settings: {num_retries: 0}`,
      GANTRY_ACCOUNT_BUDGET_USD: limits.account,
      GANTRY_SESSION_BUDGET_USD: limits.session,
    };
    this.env = {
      ...settings,
      DIRECT_NET: { fetch: async () => this.#provide() },
      LEDGER: { idFromName: (name: string) => name, get: (name: string) => this.#stub(name) },
    } as unknown as Env;
  }

  ledger(account = "acct"): InstanceType<typeof Ledger> {
    let ledger = this.ledgers.get(account);
    if (ledger === undefined) {
      ledger = new Ledger({ storage: storage() } as unknown as DurableObjectState, this.env);
      this.ledgers.set(account, ledger);
    }
    return ledger;
  }

  async post(fields: object = {}, caller: { account?: string; sessionId?: string } = {}): Promise<Response> {
    return this.#call("messages", fields, caller);
  }

  async countTokens(fields: object = {}): Promise<Response> {
    return this.#call("countTokens", fields, {});
  }

  async #call(
    door: "messages" | "countTokens",
    fields: object,
    { account = "acct", sessionId }: { account?: string; sessionId?: string },
  ): Promise<Response> {
    const body = { model: "m", max_tokens: 100, messages: [{ role: "user", content: "Hi" }], ...fields };
    const request = new Request("http://gantry.test/v1/messages", { method: "POST", body: JSON.stringify(body) });
    const response = await modelsOf(this.env)[door](request, { account, keyId: "key", sessionId: sessionId ?? null });
    await Promise.all(waiting.splice(0));
    return response;
  }

  #stub(name: string): unknown {
    const ledger = this.ledger(name);
    return {
      reserve: async (estimate: Parameters<typeof ledger.reserve>[0]) => ledger.reserve(estimate),
      record: async (record: UsageRecord) => ledger.record(record),
    };
  }

  async #provide(): Promise<Response> {
    this.asked++;
    const { status = 200, usage = { input_tokens: 10, output_tokens: 7 } } = this.answer;
    if (status !== 200)
      return Response.json({ type: "error", error: { type: "invalid_request_error", message: "No." } }, { status });
    return Response.json({ type: "message", input_tokens: 3, content: [{ type: "text", text: "Hello" }], usage });
  }
}

const routes = (model = "claude-sonnet-5", more = ""): string =>
  `model_list: [{model_name: m, litellm_params: {model: anthropic/${model}}${more}}]`;

beforeEach(() => {
  vi.spyOn(console, "log").mockImplementation(() => {});
});

describe("budgets", () => {
  it("are reserved before and settled after, so that ten calls at once cannot overdraw", async () => {
    // A call of 100 output tokens may cost $0.001 and a little.
    const it = new Installation(routes(), { account: "0.0035" });
    const answers = await Promise.all(Array.from({ length: 10 }, () => it.post()));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    const refused = answers.find(({ status }) => status === 402) as Response;
    expect(refused.headers.get("x-should-retry")).toBe("false");
    expect(await refused.json()).toMatchObject({ error: { type: "billing_error" } });
    expect(it.asked).toBe(3);
    const [row] = it.ledger().usage({});
    expect(row).toMatchObject({ requests: 10, failed_requests: 7, cost_usd: expect.closeTo(3 * 0.00009, 9) as number });
    // Nothing is left reserved: the same three calls fit again.
    expect((await it.post()).status).toBe(200);
  });

  it("get a failed call's reservation back; another account has its own", async () => {
    const it = new Installation(routes(), { account: "0.0015" });
    it.answer = { status: 400 };
    expect((await it.post()).status).toBe(400);
    it.answer = {};
    expect((await it.post()).status).toBe(200);
    expect((await it.post({ max_tokens: 10_000 })).status).toBe(402);
    expect((await it.post({}, { account: "other" })).status).toBe(200);
  });

  it("of a session stop that session alone", async () => {
    const it = new Installation(routes(), { session: "0.0015" });
    const dear = { max_tokens: 10_000 };
    expect((await it.post(dear, { sessionId: "sesn_1" })).status).toBe(402);
    expect((await it.post(dear)).status).toBe(200);
    expect((await it.post({}, { sessionId: "sesn_1" })).status).toBe(200);
  });
});

describe("sec/H9 a limit holds where the price is not known", () => {
  it.each<[limits: object, session: string | undefined, status: number]>([
    [{ account: "3" }, undefined, 402],
    [{ session: "3" }, "sesn_1", 402],
    [{ session: "3" }, undefined, 200],
    [{}, "sesn_1", 200],
  ])("limits %j, session %s: %i", async (limits, sessionId, status) => {
    const it = new Installation(routes("nobody-knows"), limits);
    const response = await it.post({}, sessionId === undefined ? {} : { sessionId });
    expect(response.status).toBe(status);
    expect(it.asked).toBe(status === 200 ? 1 : 0);
  });

  it("names the model, the route and the keys of the file", async () => {
    const it = new Installation(routes("nobody-knows"), { account: "3" });
    const { error } = (await (await it.post()).json()) as { error: { type: string; message: string } };
    expect(error.type).toBe("billing_error");
    for (const part of ["nobody-knows", '"m"', "input_cost_per_token", "output_cost_per_token", "litellm_config.yaml"])
      expect(error.message).toContain(part);
  });

  it("a price in the file is enough, also a price of zero", async () => {
    const priced = ", model_info: {input_cost_per_token: 0, output_cost_per_token: 0}";
    expect((await new Installation(routes("nobody-knows", priced), { account: "3" }).post()).status).toBe(200);
  });

  it("a fallback without a price cannot be a way past the limit", async () => {
    const it = new Installation(
      `model_list: [{model_name: m, litellm_params: {model: anthropic/claude-sonnet-5}}, {model_name: n, litellm_params: {model: anthropic/nobody-knows}}]\nlitellm_settings: {fallbacks: [{m: [n]}]}`,
      { account: "3" },
    );
    const response = await it.post();
    expect([response.status, await response.text()]).toEqual([402, expect.stringContaining('route \\"n\\"')]);
  });
});

describe("sec/H9 a reservation covers what the provider may bill", () => {
  const text = { role: "user", content: "Hi" };
  const says = (...content: object[]): object => ({ messages: [{ role: "user", content }] });
  const pdf = (source: object): object => says({ type: "document", source });

  // Sonnet costs $2 for a million tokens in and $10 out. A plain call of 100 tokens out may cost $0.0011.
  it.each<[what: string, fields: object, leastUsd: number, mostUsd: number]>([
    ["a plain call", { messages: [text] }, 0.001, 0.0012],
    ["a document by URL", pdf({ type: "url", url: "https://x/a.pdf" }), 1.9, 2.1],
    ["a document by id", pdf({ type: "file", file_id: "file_1" }), 1.9, 2.1],
    [
      "a document inside a tool's result",
      says({
        type: "tool_result",
        tool_use_id: "t",
        content: [{ type: "document", source: { type: "url", url: "https://x" } }],
      }),
      1.9,
      2.1,
    ],
    ["a file for the provider's container", says({ type: "container_upload", file_id: "file_1" }), 1.9, 2.1],
    ["a PDF in the body", pdf({ type: "base64", media_type: "application/pdf", data: "A".repeat(100_000) }), 0.2, 0.25],
    ["a web search", { tools: [{ type: "web_search_20250305", name: "web_search", max_uses: 1 }] }, 0.03, 0.1],
    ["web searches without a limit", { tools: [{ type: "web_search_20250305", name: "web_search" }] }, 1, 2],
    ["a fetched page", { tools: [{ type: "web_fetch_20250910", name: "web_fetch", max_uses: 1 }] }, 0.2, 0.3],
    ["a code container", { tools: [{ type: "code_execution_20250825", name: "code_execution" }] }, 1, 2],
    ["a server of tools", { mcp_servers: [{ type: "url", url: "https://x", name: "x" }] }, 1, 2],
    ["a tool that the caller runs", { tools: [{ type: "bash_20250124", name: "bash" }] }, 0.001, 0.0013],
    ["the fast mode", { speed: "fast" }, 0.006, 0.007],
    ["a place ahead of others", { service_tier: "priority" }, 0.002, 0.0023],
    ["a region", { inference_geo: "us" }, 0.0011, 0.0013],
    ["dense text", { messages: [{ role: "user", content: "7,3;9.1|".repeat(10_000) }] }, 0.08, 0.2],
    [
      "a prompt that is cached for an hour",
      {
        system: [{ type: "text", text: "word ".repeat(10_000), cache_control: { type: "ephemeral", ttl: "1h" } }],
      },
      0.04,
      0.08,
    ],
  ])("%s", async (_, fields, leastUsd, mostUsd) => {
    expect((await new Installation(routes(), { account: String(leastUsd) }).post(fields)).status).toBe(402);
    expect((await new Installation(routes(), { account: String(mostUsd) }).post(fields)).status).toBe(200);
  });

  it("the cost that is counted has the tier and the searches in it", async () => {
    const it = new Installation(routes(), { account: "10" });
    it.answer = { usage: { input_tokens: 0, output_tokens: 1000, server_tool_use: { web_search_requests: 3 } } };
    await it.post({ speed: "fast" });
    expect(it.ledger().usage({})[0]?.cost_usd).toBeCloseTo(0.01 * 6 + 3 * 0.01, 9);
  });

  it("the window that a route states is the most that an unseen document can be", async () => {
    const it = new Installation(routes("claude-sonnet-5", ", model_info: {max_input_tokens: 10000}"), {
      account: "0.03",
    });
    expect((await it.post(pdf({ type: "url", url: "https://x/a.pdf" }))).status).toBe(200);
  });
});

describe("sec/low-8 counting tokens is recorded, and stops with the budget", () => {
  it("is recorded, also where its price is not known", async () => {
    const it = new Installation(routes("nobody-knows"), { account: "1" });
    expect((await it.countTokens()).status).toBe(200);
    expect(it.ledger().usage({})).toMatchObject([{ requests: 1, failed_requests: 0, cost_usd: 0 }]);
  });

  it("is refused when nothing is left", async () => {
    const it = new Installation(routes(), { account: "0.0011" });
    it.answer = { usage: { input_tokens: 10, output_tokens: 1000 } };
    expect((await it.post()).status).toBe(200);
    expect((await it.countTokens()).status).toBe(402);
    expect(it.asked).toBe(1);
    expect(it.ledger().usage({})).toMatchObject([{ requests: 2, failed_requests: 1 }]);
  });

  it("keeps nothing reserved", async () => {
    const it = new Installation(routes(), { account: "0.0012" });
    for (let n = 0; n < 20; n++) expect((await it.countTokens()).status).toBe(200);
    expect((await it.post()).status).toBe(200);
  });

  it("obeys the limits of its route", async () => {
    const limited = "model_list: [{model_name: m, litellm_params: {model: anthropic/x, rpm: 1}}]";
    const it = new Installation(limited, {});
    expect([(await it.countTokens()).status, (await it.countTokens()).status]).toEqual([200, 429]);
  });
});

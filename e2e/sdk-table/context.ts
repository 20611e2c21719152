import type Anthropic from "@anthropic-ai/sdk";
import { NotFoundError } from "@anthropic-ai/sdk";
import { expect } from "vitest";
import { all, clientOf } from "../kit/anthropic.ts";
import type { SessionEvent } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";

/** What a check of one method works with: the started product, its client, and one of another account. */
export interface Context {
  readonly gantry: Gantry;
  readonly client: Anthropic;
  /** Sees nothing of what `client` made. */
  readonly stranger: Anthropic;
}

/** Passes: the method works. Returns text: it works, but differs so. Throws: it does not. */
export type Check = (context: Context) => Promise<string | void>;

export async function start(): Promise<Context> {
  const gantry = await Gantry.start();
  const response = await gantry.post("/v1/keys", { name: "stranger", scopes: ["admin"], account: "stranger" });
  const { key } = (await response.json()) as { key: string };
  return { gantry, client: clientOf(gantry), stranger: clientOf(gantry, key) };
}

/** Each must be refused as unknown, with the client's own error class: ids of nobody, and those of another account. */
export async function unknown(...asks: (() => PromiseLike<unknown>)[]): Promise<void> {
  for (const ask of asks) await expect(Promise.resolve().then(ask)).rejects.toBeInstanceOf(NotFoundError);
}

/** Each must be refused with this status. */
export async function refused(status: number, ...asks: (() => PromiseLike<unknown>)[]): Promise<void> {
  for (const ask of asks) await expect(Promise.resolve().then(ask)).rejects.toMatchObject({ status });
}

/** A list goes on over its pages, shows nothing twice and nothing of a stranger. */
export async function paged<T extends { id: string }>(
  made: readonly T[],
  list: (limit: number) => AsyncIterable<{ id: string }>,
): Promise<void> {
  const ids = (await all(list(2))).map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toEqual(expect.arrayContaining(made.map(({ id }) => id)));
}

export const NOBODY = "0".repeat(36);
export const prompt = (...steps: Record<string, unknown>[]) => ({
  type: "user.message" as const,
  content: [{ type: "text" as const, text: script(...steps) }],
});

export const makeAgent = (client: Anthropic, more: Partial<Anthropic.Beta.AgentCreateParams> = {}) =>
  client.beta.agents.create({ name: "Tester", model: "demo/scripted", ...more });
export const makeEnvironment = (client: Anthropic) => client.beta.environments.create({ name: "here" });

/** A session of an agent that has the built-in tools. */
export async function makeSession(
  client: Anthropic,
  more: Partial<Anthropic.Beta.SessionCreateParams> = {},
): Promise<Anthropic.Beta.BetaManagedAgentsSession> {
  const agent = await makeAgent(client, { tools: [{ type: "agent_toolset_20260401" }] });
  const environment = await makeEnvironment(client);
  return client.beta.sessions.create({ agent: agent.id, environment_id: environment.id, ...more });
}

/** Not what this server says of its own upkeep, which may come after the end of a run. */
export const isTheirs = (event: { type: string }): boolean => !/^(workspace|sandbox)\./.test(event.type);

/** The events of a session, once it is idle, without our own upkeep. */
export async function untilIdle(client: Anthropic, id: string, reason = "end_turn"): Promise<SessionEvent[]> {
  let events: SessionEvent[] = [];
  await until(async () => {
    events = (await all(client.beta.sessions.events.list(id))).filter(isTheirs);
    const last = events.at(-1);
    return last?.type === "session.status_idle" && last.stop_reason.type === reason;
  }, `session ${id} to be idle with ${reason}`);
  return events;
}

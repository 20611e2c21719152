import type { ModelUsage } from "@gantry/protocol/run-end.ts";
import type { UsageRecord } from "@gantry/router/base/usage.ts";
import { objectOf } from "../base/env.ts";
import type { Env } from "../base/env.ts";
import { Later } from "../base/later.ts";
import { report } from "../base/log.ts";
import { ledgerOf } from "./ledger.ts";

/**
 * Delay in milliseconds between the end of a call and counting it, so that the client gets its answer first. A Worker that
 * dies in between loses the count, just as it loses calls in progress, which take seconds.
 */
const LATER_MS = 20;

const ended = new Later<Counted>(LATER_MS, count);

/** A call that has ended, with the environment whose ledger counts it. */
interface Counted {
  readonly env: Env;
  readonly record: UsageRecord;
}

/** The one method of a session that counting needs: adds the tokens of a model call to a thread. */
export interface ThreadUsage {
  countForThread(taskId: string, usage: ModelUsage): void;
}

/** Counts a call that has ended, after its answer has gone out. */
export function countLater(env: Env, record: UsageRecord, waitUntil: (work: Promise<void>) => void): void {
  ended.add({ env, record }, waitUntil);
}

/** Counts the calls that are waiting, so that a usage query includes the client's latest call. */
export function countWaiting(): Promise<void> {
  return ended.flush();
}

/** Counts calls that have ended, for their accounts and for the threads of sub-agents. A failure is only logged. */
export async function count(calls: readonly Counted[]): Promise<void> {
  await Promise.all(calls.flatMap(({ env, record }) => [countForAccount(env, record), countForThread(env, record)]));
}

/** Only the router knows the usage of each sub-agent: the engine reports a total. */
async function countForThread(env: Env, { sessionId, agentId, usage, requestId }: UsageRecord): Promise<void> {
  if (sessionId === null || agentId === undefined || usage === null) return;
  await objectOf<ThreadUsage>(env.SESSION, sessionId)
    .countForThread(agentId, {
      input_tokens: usage.inputTokens,
      output_tokens: usage.outputTokens,
      cache_creation_input_tokens: usage.cacheWriteTokens,
      cache_read_input_tokens: usage.cacheReadTokens,
    })
    .catch((error: unknown) => report({ event: "usage_not_counted", requestId, error: String(error) }));
}

async function countForAccount(env: Env, record: UsageRecord): Promise<void> {
  await ledgerOf(env, record.account)
    .record(record)
    .catch((error: unknown) =>
      report({ event: "usage_not_counted", requestId: record.requestId, error: String(error) }),
    );
}

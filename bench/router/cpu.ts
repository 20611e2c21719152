import type { Job } from "../load/job.ts";
import type { Load } from "../load/start.ts";
import { cpuMs } from "../kit/processes.ts";
import { rotate } from "../kit/statistics.ts";
import { chatBody, messagesBody } from "./body.ts";
import type { Gateway, Lane } from "./gateway.ts";

/** CPU time of gateways per request, one request after another. */

const ROUNDS = 9;
/** CPU time has a resolution of 10 ms; a slice is long enough to make that small. */
const SLICE_MS = 1_500;
const WARM_UP_MS = 3_000;

/** CPU milliseconds per request; one value per round. */
export interface Costs {
  readonly whole: number[];
  readonly stream: number[];
}

/** A job of one request after another on this lane. */
export function jobFor(lane: Lane, gateway: Gateway, stream: boolean, limits: Partial<Job> = {}): Job {
  const chat = lane.path === "/v1/chat/completions";
  return {
    url: gateway.url + lane.path,
    headers: lane.headers,
    body: chat ? chatBody(lane.model, stream) : messagesBody(lane.model, stream),
    ending: stream ? (chat ? "[DONE]" : "message_stop") : chat ? "chat.completion" : "tool_use",
    atOnce: 1,
    most: 1_000_000,
    forMs: SLICE_MS,
    ...limits,
  };
}

/** A lane that fails is left out of the rest and named in `failures`. */
export async function measureCpu(
  lanes: readonly Lane[],
  upstream: string,
  load: Load,
  say: (line: string) => void,
): Promise<{ costs: Map<string, Costs>; failures: string[] }> {
  const costs = new Map<string, Costs>();
  const failures: string[] = [];
  const programs = new Map<string, Gateway>();
  const gone = new Set<string>();
  const fail = (lane: Lane, why: string): void => {
    gone.add(lane.name);
    costs.delete(lane.name);
    failures.push(`${lane.name} failed and is left out: ${why}`);
  };
  for (const lane of lanes) {
    try {
      const gateway = programs.get(lane.program) ?? (await lane.start(upstream));
      programs.set(lane.program, gateway);
      costs.set(lane.name, { whole: [], stream: [] });
      for (const stream of [false, true]) {
        const { failed, why } = await load.run(jobFor(lane, gateway, stream, { forMs: WARM_UP_MS }));
        if (failed > 0) throw new Error(why ?? "");
      }
    } catch (error) {
      fail(lane, String(error));
    }
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const lane of rotate(lanes, round)) {
      const gateway = programs.get(lane.program);
      if (!gateway || gone.has(lane.name)) continue;
      for (const stream of [false, true]) {
        const before = cpuMs(gateway.child.pid ?? 0);
        const { done, failed, why } = await load.run(jobFor(lane, gateway, stream));
        const spent = cpuMs(gateway.child.pid ?? 0) - before;
        if (failed > 0 || done === 0) {
          fail(lane, why ?? "nothing was answered");
          break;
        }
        costs.get(lane.name)?.[stream ? "stream" : "whole"].push(spent / done);
      }
    }
    if ((round + 1) % 3 === 0) say(`processor time: ${round + 1} of ${ROUNDS} rounds done`);
  }
  return { costs, failures };
}

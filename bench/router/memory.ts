import type { Load } from "../load/start.ts";
import { cpuMs, rssMb, treeOf } from "../kit/processes.ts";
import type { Scope } from "../kit/scope.ts";
import { jobFor } from "./cpu.ts";
import type { Lane } from "./gateway.ts";

/** Gateways under many streams at once: memory and CPU time, each in a fresh process. */

export const STREAMS = 1_000;
/** Pieces of a stream of the provider's `/slow`. */
export const SLOW_CHUNKS = 100;
const SAMPLE_MS = 250;
const LIMIT_MS = 90_000;

export interface Memory {
  readonly idleMb: number;
  readonly mostMb: number;
  /** CPU milliseconds per stream, including its request: here each piece finds the gateway asleep, or busy with others. */
  readonly cpuMs: number;
  readonly done: number;
  readonly failed: number;
  readonly why: string | null;
}

export async function measureMemory(scope: Scope, lane: Lane, upstream: string, load: Load): Promise<Memory> {
  const gateway = await lane.start(upstream);
  const resident = (): number => rssMb(treeOf(gateway.child.pid ?? 0));
  try {
    await load.run(jobFor(lane, gateway, false, { most: 5 }));
    const idleMb = resident();
    let mostMb = idleMb;
    const sampling = setInterval(() => (mostMb = Math.max(mostMb, resident())), SAMPLE_MS);
    const cpuBefore = cpuMs(gateway.child.pid ?? 0);
    const limits = { atOnce: STREAMS, most: STREAMS, forMs: LIMIT_MS };
    const { done, failed, why } = await load
      .run(jobFor(lane, gateway, true, limits))
      .finally(() => clearInterval(sampling));
    return { idleMb, mostMb, cpuMs: (cpuMs(gateway.child.pid ?? 0) - cpuBefore) / STREAMS, done, failed, why };
  } finally {
    await scope.end(gateway.child);
  }
}

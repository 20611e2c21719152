import type { Load } from "../load/start.ts";
import type { Scope } from "../kit/scope.ts";
import { jobFor } from "./cpu.ts";
import type { Lane } from "./gateway.ts";
import { startRouter } from "./workerd.ts";

/** How the router's least-busy strategy shares a load between deployments of one name. */

/** Deployments, by what they do: each answers after the milliseconds in its name. */
const EVEN = ["one-20", "two-20", "three-20"];
const UNEVEN = ["quick-20", "same-20", "slow-80"];
const REQUESTS = 900;
const AT_ONCE = 30;

export interface Share {
  readonly deployment: string;
  readonly requests: number;
  /** Most calls it had in progress at once. */
  readonly most: number;
}

export interface Spread {
  readonly even: readonly Share[];
  readonly uneven: readonly Share[];
  readonly failed: number;
}

function routes(upstream: string): string {
  const deployments = (name: string, paths: readonly string[]): string =>
    paths
      .map(
        (path) => `  - model_name: ${name}
    litellm_params: { model: openai/bench-model, api_base: "${upstream}/${path}/v1", api_key: os.environ/BENCH_KEY }
`,
      )
      .join("");
  return `model_list:
${deployments("even", EVEN)}${deployments("uneven", UNEVEN)}router_settings:
  routing_strategy: least-busy
`;
}

export async function measureSpread(scope: Scope, lane: Lane, upstream: string, load: Load): Promise<Spread> {
  const gateway = await startRouter(scope, routes(upstream));
  let failed = 0;
  const shares = async (model: string): Promise<Share[]> => {
    const limits = { atOnce: AT_ONCE, most: REQUESTS, forMs: 60_000, ending: "message_stop" };
    failed += (await load.run(jobFor({ ...lane, model }, gateway, true, limits))).failed;
    const counts = (await (await fetch(`${upstream}/counts`)).json()) as Record<
      string,
      { requests: number; most: number }
    >;
    return Object.entries(counts)
      .map(([deployment, { requests, most }]) => ({ deployment, requests, most }))
      .toSorted((a, b) => a.deployment.localeCompare(b.deployment));
  };
  try {
    return { even: await shares("even"), uneven: await shares("uneven"), failed };
  } finally {
    await scope.end(gateway.child);
  }
}

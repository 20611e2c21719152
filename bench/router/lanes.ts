import type { Scope } from "../kit/scope.ts";
import type { Lane } from "./gateway.ts";
import { installPeers, startClaudeCodeRouter, startCopilotApi } from "./peers.ts";
import { ROUTER_KEY, startFloor, startRouter } from "./workerd.ts";

/** Routes of Gantry's router in a benchmark: one per lane, all to the same provider. */
function routes(upstream: string): string {
  return `model_list:
  - model_name: anthropic/*
    litellm_params: { model: anthropic/*, api_base: "${upstream}", api_key: os.environ/BENCH_KEY }
  - model_name: translated/*
    litellm_params: { model: openai/*, api_base: "${upstream}/v1", api_key: os.environ/BENCH_KEY }
`;
}

const ANTHROPIC_HEADERS = {
  "content-type": "application/json",
  "anthropic-version": "2023-06-01",
  "anthropic-beta": "interleaved-thinking-2025-05-14,context-management-2025-06-27",
  "user-agent": "claude-cli/2.1.329 (external, sdk-ts)",
  "x-api-key": ROUTER_KEY,
};
const OPENAI_HEADERS = { "content-type": "application/json", authorization: `Bearer ${ROUTER_KEY}` };

export const FLOOR = "floor: pass-through Worker";
/** What workerd needs for any Worker that looks at each piece. */
export const FLOOR_EACH_PIECE = "floor: reads and writes each piece";
export const OURS_PASSED_THROUGH = "ours: Anthropic in, passed through";
export const OURS_TRANSLATED = "ours: Anthropic in, OpenAI upstream";

/** All lanes that are measured, and a note for each that could not be. */
export async function allLanes(scope: Scope): Promise<{ lanes: Lane[]; missing: string[] }> {
  const ours = {
    program: "ours",
    start: (upstream: string) => startRouter(scope, routes(upstream)),
  } as const;
  const anthropic = { path: "/v1/messages", model: "anthropic/claude-bench", headers: ANTHROPIC_HEADERS } as const;
  const lanes: Lane[] = [
    {
      ...anthropic,
      name: FLOOR,
      program: "floor",
      start: (upstream) => startFloor(scope, "passThrough", upstream),
    },
    {
      ...anthropic,
      name: FLOOR_EACH_PIECE,
      program: "floor in JavaScript",
      start: (upstream) => startFloor(scope, "pieceByPiece", upstream),
    },
    {
      ...ours,
      ...anthropic,
      name: OURS_PASSED_THROUGH,
    },
    {
      ...ours,
      ...anthropic,
      name: OURS_TRANSLATED,
      model: "translated/bench-model",
    },
    {
      ...ours,
      name: "ours: OpenAI in, OpenAI upstream",
      path: "/v1/chat/completions",
      model: "translated/bench-model",
      headers: OPENAI_HEADERS,
    },
  ];
  try {
    const modules = await installPeers(scope);
    lanes.push(
      {
        ...anthropic,
        name: "copilot-api 0.7.0",
        program: "copilot-api",
        start: (upstream) => startCopilotApi(scope, modules, upstream),
        model: "bench-model",
      },
      {
        ...anthropic,
        name: "claude-code-router 2.0.0",
        program: "claude-code-router",
        start: (upstream) => startClaudeCodeRouter(scope, modules, upstream),
        model: "bench,bench-model",
      },
    );
    return { lanes, missing: [] };
  } catch (error) {
    const why = String(error).split("\n")[0];
    return { lanes, missing: [`copilot-api and claude-code-router could not be installed from npm here (${why}).`] };
  }
}

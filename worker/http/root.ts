import type { Context } from "hono";
import { modelsOf } from "../models.ts";
import type { App } from "./context.ts";
import { runnerHealth } from "./space.ts";

/** Version of the product. */
export const VERSION = "0.1.0";

/** `GET /`: what this is and how to begin. */
export function root(c: Context<App>): Response {
  const origin = new URL(c.req.url).origin;
  const sample = `curl -N -H "Authorization: Bearer KEY" -d '{"prompt":"What is 7 * 6?"}' ${origin}/claude-code`;
  return c.json({
    name: "Gantry",
    version: VERSION,
    description: "Real Claude Code as a service, with any model.",
    try: sample,
    routes: {
      "GET /health": "is it well (no key needed)",
      "POST /claude-code": "a prompt in, the run's story out",
      "GET /demo/ws/{name}": "a WebSocket on a session of your own name",
      "POST /agent/message": "the same, without WebSocket",
      "POST /query": "a question in, an answer out; in order for each accountId",
      "GET /debug": "how this server is set up, without secrets",
      "POST /v1/messages": "the model router, for any Anthropic client",
      "POST /v1/messages/count_tokens": "tokens of a request",
      "POST /v1/chat/completions": "the same for OpenAI's clients",
      "GET /v1/models": "what the routes offer",
      "GET /v1/usage": "tokens and cost",
      "POST /v1/agents": "and /v1/environments, /v1/sessions, /v1/files: Anthropic's Managed Agents API",
      "POST /v1/keys": "keys for others, with scopes; GET /v1/audit tells who changed what",
      "GET /v1/approvals": "tool calls that wait for somebody",
      "GET /v1/sessions/{id}/runs": "prompts of a session; POST .../runs/{run}/cancel takes one out",
      "POST /v1/sessions/{id}/events": "prompt or interrupt a session",
      "GET /v1/sessions/{id}/events": "a page of a session's log",
      "GET /v1/sessions/{id}/events/stream": "the log as server-sent events",
    },
  });
}

/** `GET /health`. 200 as long as requests can be taken; what is weak about the place is said in it. */
export async function health(c: Context<App>): Promise<Response> {
  const runner = await runnerHealth(c.env);
  return c.json({
    status: "ok",
    version: VERSION,
    model: modelsOf(c.env).defaultModel,
    sandbox: {
      level: c.env.SANDBOX_LEVEL ?? "none",
      reachable: runner !== null,
      engines: runner?.engines ?? 0,
      starting: runner?.enginesStarting ?? 0,
      waiting: runner?.enginesWaiting ?? 0,
    },
    disk: { freeBytes: runner?.freeBytes ?? null },
  });
}

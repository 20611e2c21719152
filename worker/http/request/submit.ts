import type { Context } from "hono";
import type { SessionTarget } from "../../session/call/named-session.ts";
import { submit } from "../../session/call/submit.ts";
import type { Accepted, NewPrompt } from "../../session/call/submit.ts";
import type { App } from "./context.ts";
import { idFor } from "./idempotency.ts";
import { actorOf } from "./query.ts";

/**
 * Submits the prompt of a request. A request that is repeated under its idempotency key finds the session and the run that
 * the first one created. `index` distinguishes several prompts of one request.
 */
export async function submitPrompt(
  c: Context<App>,
  target: SessionTarget,
  prompt: NewPrompt,
  index = 0,
): Promise<Accepted> {
  const isRepeatable = c.get("origin") !== undefined;
  const ids = isRepeatable ? { sessionId: await idFor(c, "session"), runId: await idFor(c, "run", index) } : {};
  const accepted = await submit(c.env, actorOf(c), target, prompt, ids);
  c.set("begun", true);
  if (accepted.repeated) c.set("repeated", true);
  return accepted;
}

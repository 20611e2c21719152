import type { Env } from "./base/env.ts";
import { createApp } from "./http/app.ts";

/** Entry point of the Worker: the HTTP app, and the Durable Objects and entrypoints that the runtime looks up by name. */
export { Ledger } from "./accounts/ledger.ts";
export { Replies } from "./accounts/replies.ts";
export { Egress } from "./http/from-sandbox/egress.ts";
export { Session } from "./session/session.ts";

const app = createApp();

export default {
  fetch: (request, env, ctx) => app.fetch(request, env, ctx),
} satisfies ExportedHandler<Env>;

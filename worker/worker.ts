import type { Env } from "./base/env.ts";
import { createApp } from "./http/app.ts";

/** The Worker: requests to doors, and the objects behind them. */
export { Ledger } from "./accounts/ledger.ts";
export { Replies } from "./accounts/replies.ts";
export { Egress } from "./http/from-sandbox/egress.ts";
export { Session } from "./session/session.ts";

const app = createApp();

export default {
  fetch: (request, env, ctx) => app.fetch(request, env, ctx),
} satisfies ExportedHandler<Env>;

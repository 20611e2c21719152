import type { Env } from "../env.ts";

/** Who sent a request, after authentication. */
export interface Principal {
  readonly account: string;
  /** Id of the API key, for logs and usage; never the key. */
  readonly keyId: string;
  /** What the key opens; `admin` opens everything of its account. */
  readonly scopes: readonly string[];
}

/** What Hono carries through a request. */
export interface App {
  Bindings: Env;
  Variables: { requestId: string; principal: Principal };
}

import type { Context } from "hono";
import type { Origin } from "../../accounts/replies.ts";
import type { Env } from "../../base/env.ts";

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
  Variables: {
    requestId: string;
    principal: Principal;
    /** With an idempotency key: what the ids of this request follow from. */
    origin?: Origin & { readonly place: string };
    /** Something lasting was done for it. */
    begun?: boolean;
    /** What this request asks for was done by an earlier one. */
    repeated?: boolean;
    /** Fingerprint of a form, once it has been read to its end. */
    fingerprint?: string;
  };
}

/** Answers a request that has passed the guards. */
export type Door = (c: Context<App>) => Response | Promise<Response>;

import type { Context } from "hono";
import type { Origin } from "../../accounts/replies.ts";
import type { Env } from "../../base/env.ts";

/** The authenticated sender of a request. */
export interface Principal {
  readonly account: string;
  /** Id of the API key, for logs and usage; never the key. */
  readonly keyId: string;
  /** Scopes of the key; `admin` opens everything in its account. */
  readonly scopes: readonly string[];
  /** When the key expires, in milliseconds since 1970. Null or absent: it does not expire. */
  readonly endsAt?: number | null;
}

/** Bindings and variables that Hono carries through a request. */
export interface App {
  Bindings: Env;
  Variables: {
    requestId: string;
    principal: Principal;
    /** With an idempotency key: the values from which new ids derive. `target` is method, path and query. */
    origin?: Origin & { readonly target: string };
    /** Whether the request has changed stored state. */
    begun?: boolean;
    /** Whether an earlier request with the same idempotency key has already done the work. */
    repeated?: boolean;
    /** Fingerprint of a form, once it has been read to its end. */
    fingerprint?: string;
  };
}

/** Handles a request that has passed the guards. */
export type Door = (c: Context<App>) => Response | Promise<Response>;

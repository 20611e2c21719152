import type { Scope } from "@gantry/protocol/api/keys.ts";
import type { z } from "zod";

/**
 * Who may use a route. `open`: everyone. A list: keys with one of these scopes, or with `admin`. `sandbox`: only a
 * session's own token, no key.
 */
export type Access = "open" | "sandbox" | readonly Scope[];

/** The description of a route. Guards, doors and the OpenAPI document all use it. */
export interface Route {
  readonly access: Access;
  /** One line of documentation, shown in `GET /`, `/docs` and `openapi.json`. */
  readonly summary: string;
  /** Schema of the query, checked before the door runs. The default allows only `COMMON_QUERY`. */
  readonly query?: z.ZodObject;
  /** Schema of the JSON body. The door reads the body with it. */
  readonly body?: z.ZodType;
  /** The body is a form, which the door reads as a stream. */
  readonly form?: true;
  /** The answer holds a secret that is stored nowhere. */
  readonly secret?: true;
}

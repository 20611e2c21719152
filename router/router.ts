/**
 * The model router's front: Anthropic Messages in, any provider behind it.
 *
 * Everything outside `router/` talks to it through this file. The router never
 * authenticates a caller: the door that calls it has done so and says who it is.
 */

/** Who is calling, as the door that authenticated the request knows it. */
export interface Caller {
  /** Account that pays. Cache entries and usage never cross it. */
  readonly account: string;
  /** Id of the API key used, or null when the engine of a session calls. */
  readonly keyId: string | null;
  /** Session whose engine calls, or null for a direct API call. */
  readonly sessionId: string | null;
}

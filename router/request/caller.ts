/** Who is calling, as the door that authenticated the request knows it. */
export interface Caller {
  /** Account that pays. Cache entries and usage never cross it. */
  readonly account: string;
  /** Id of the API key used, or null when the engine of a session calls. */
  readonly keyId: string | null;
  /** Session whose engine calls, or null for a direct API call. */
  readonly sessionId: string | null;
  /** Which of the session's agents calls, as the engine names it: set for a sub-agent. */
  readonly agentId?: string | undefined;
}

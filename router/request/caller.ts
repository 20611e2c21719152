/** Who is calling, as established by the HTTP door that authenticated the request. */
export interface Caller {
  /** The account that pays. Cache entries and usage are never shared between accounts. */
  readonly account: string;
  /** Id of the API key used, or null when a session's engine calls. */
  readonly keyId: string | null;
  /** Session whose engine calls, or null for a direct API call. */
  readonly sessionId: string | null;
  /** The subagent that calls, as the engine names it; absent for the session's main agent. */
  readonly agentId?: string | undefined;
}

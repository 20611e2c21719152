import { SandboxReport, nextSandboxState } from "@gantry/protocol/sandbox.ts";
import type { SandboxState } from "@gantry/protocol/sandbox.ts";
import { RUNNER_PORT } from "../../sandbox/sandbox.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";

/** How a session's sandbox is, as the API tells it. */
export interface SandboxFacts {
  readonly state: SandboxState;
  /** Milliseconds since 1970; null when nobody knows. */
  readonly since: number | null;
  readonly position: number | null;
  readonly sleepsAt: number | null;
}

const ASK_TIMEOUT_MS = 2_000;

/** What the runner says of a session; null when it does not answer. Starts nothing. */
export async function askSandbox(sandbox: Sandbox, sessionId: string): Promise<SandboxReport | null> {
  return sandbox
    .getTcpPort(RUNNER_PORT)
    .fetch(`http://runner/sessions/${sessionId}`, { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) })
    .then(async (response) => SandboxReport.parse(await response.json()))
    .catch(() => null);
}

/**
 * The truth about a sandbox out of what the runner says and what the session knows: the run in progress was sent to one
 * runner, and with another one, or none, it is lost; and after it the session knows whether its files are being stored.
 */
export function sandboxFacts(report: SandboxReport | null, sentTo: string | null, isSaving: boolean): SandboxFacts {
  const state = report?.state ?? "stopped";
  const nobody = { since: report?.since || null, position: null, sleepsAt: null };
  if (sentTo !== null && report?.runnerId !== sentTo) {
    // It was at work there, whatever is here now.
    return { ...nobody, since: null, state: nextSandboxState("busy", "lose") };
  }
  if (report === null) return { ...nobody, state };
  const { position, sleepsAt } = report;
  return {
    ...nobody,
    state: isSaving && state === "idle" ? nextSandboxState(state, "save") : state,
    position,
    sleepsAt,
  };
}

import { SandboxReport, nextSandboxState } from "@gantry/protocol/sandbox.ts";
import type { SandboxState } from "@gantry/protocol/sandbox.ts";
import { RUNNER_PORT } from "../../sandbox/sandbox.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";

/** State of a session's sandbox, as the API shows it. */
export interface SandboxFacts {
  readonly state: SandboxState;
  /** Milliseconds since 1970; null when unknown. */
  readonly since: number | null;
  readonly position: number | null;
  readonly sleepsAt: number | null;
}

const ASK_TIMEOUT_MS = 2_000;

/** The runner's report on a session; null when it does not answer. Starts nothing. */
export async function askSandbox(sandbox: Sandbox, sessionId: string): Promise<SandboxReport | null> {
  return sandbox
    .getTcpPort(RUNNER_PORT)
    .fetch(`http://runner/sessions/${sessionId}`, { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) })
    .then(async (response) => SandboxReport.parse(await response.json()))
    .catch(() => null);
}

/**
 * State of a sandbox from the runner's report and from what the session knows: a run in progress that was sent to a
 * runner that is gone is lost, and only the session knows whether files are being saved.
 */
export function sandboxFacts(report: SandboxReport | null, sentTo: string | null, isSaving: boolean): SandboxFacts {
  const state = report?.state ?? "stopped";
  const nobody = { since: report?.since || null, position: null, sleepsAt: null };
  if (sentTo !== null && report?.runnerId !== sentTo) {
    // The run was at work on the other runner, whatever this one reports.
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

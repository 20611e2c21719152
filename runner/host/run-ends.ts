import type { RunEnded, RunError } from "@gantry/protocol/run-end.ts";
import { ResourceUnavailable } from "../mounts/unavailable.ts";
import type { ActiveRun } from "./active-run.ts";

/** How a run ends when the engine does not end it by itself. */

function failed(type: RunError["type"], reason = ""): { outcome: "failed"; error: RunError } {
  const messages: Partial<Record<RunError["type"], string>> = {
    deadline_exceeded: "The run exceeded its time limit and was stopped.",
    server_stopped: "The server was stopped while this ran; the next prompt continues the session.",
  };
  const message = messages[type] ?? (reason || "The run failed.");
  return { outcome: "failed", error: { type, message } };
}

/** What an interrupt changes about the end that the engine reports; empty when the run was not interrupted. */
export function interruption({ interrupted }: ActiveRun): Partial<Pick<RunEnded, "outcome" | "error">> {
  if (interrupted === null) return {};
  return interrupted === "user" ? { outcome: "interrupted", error: null } : failed(interrupted);
}

/** The end of a run that the engine did not report. An interrupt explains it better than `type` and `reason` do. */
export function endOf(run: ActiveRun, result: string, reason: string, type: RunError["type"]): RunEnded {
  const { interrupted: why, startedAt } = run;
  const outcome = why === "user" ? { outcome: "interrupted" as const, error: null } : failed(why ?? type, reason);
  return { type: "run.ended", result, usage: null, num_turns: 0, duration_ms: Date.now() - startedAt, ...outcome };
}

/** Why a run could not begin: a text, and the type of the error. */
export function whyNotBegun(error: unknown): [reason: string, type: RunError["type"]] {
  const reason = error instanceof Error ? error.message : String(error);
  return [reason, error instanceof ResourceUnavailable ? "resource_unavailable" : "engine_failed"];
}

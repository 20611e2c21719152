import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { RunEnded, RunError } from "@gantry/protocol/event.ts";
import { newId } from "@gantry/protocol/ids.ts";
import { PROTOCOL_VERSION } from "@gantry/protocol/link.ts";
import type { Report, RunOptions } from "@gantry/protocol/link.ts";
import type { ActiveRun, HostSettings } from "./host-settings.ts";
import { ResourceUnavailable } from "../mounts/unavailable.ts";
import { toRawEvent } from "../engine/translate/raw.ts";
import type { TranslatedEvent } from "../engine/translate.ts";

/** What a session's host says of itself and of its runs. */

/** How a run ends that was stopped, or whose engine failed. */
function failed(type: RunError["type"], reason = ""): { outcome: "failed"; error: RunError } {
  const said: Partial<Record<RunError["type"], string>> = {
    deadline_exceeded: "The run took longer than it may and was stopped.",
    server_stopped: "The server was stopped while this ran; the next prompt continues the session.",
  };
  const message = said[type] ?? (reason || "The run failed.");
  return { outcome: "failed", error: { type, message } };
}

/** What a runner says to a new link. */
export function welcomeOf(
  settings: HostSettings,
  host: {
    readonly run: ActiveRun | null;
    readonly ended: string[];
    readonly parked: string | null;
    readonly folder: string | null;
    readonly draining: boolean;
  },
): Report {
  return {
    type: "welcome",
    protocol: PROTOCOL_VERSION,
    runnerId: settings.runnerId,
    activeRunId: host.run?.command.runId ?? null,
    endedRunIds: host.ended,
    ...(host.parked === null ? {} : { parkedRunId: host.parked }),
    ...(settings.engineToken === undefined ? {} : { engineToken: settings.engineToken }),
    folder: host.folder,
    ...(host.draining ? { draining: true } : {}),
  };
}

/** What becomes of the end of a run that somebody stopped; nothing when nobody did. */
export function interruption({ interrupted }: ActiveRun): Partial<Pick<RunEnded, "outcome" | "error">> {
  if (interrupted === null) return {};
  return interrupted === "user" ? { outcome: "interrupted", error: null } : failed(interrupted);
}

/** The end of a run that the engine did not end. */
export function endOf(run: ActiveRun, result: string, reason: string, type: RunError["type"]): RunEnded {
  const { interrupted: why, startedAt } = run;
  const outcome = why === "user" ? { outcome: "interrupted" as const, error: null } : failed(why ?? type, reason);
  return { type: "run.ended", result, usage: null, num_turns: 0, duration_ms: Date.now() - startedAt, ...outcome };
}

/** Why a run could not begin, in words and as a type. */
export function whyNotBegun(error: unknown): [reason: string, type: RunError["type"]] {
  const reason = error instanceof Error ? error.message : String(error);
  return [reason, error instanceof ResourceUnavailable ? "resource_unavailable" : "engine_failed"];
}

/** What a run that asked for it hears of a message beside what is made of it. */
export function rawEvents(message: SDKMessage, options: Pick<RunOptions, "includeRaw"> | undefined): TranslatedEvent[] {
  const raw = options?.includeRaw ? toRawEvent(message) : null;
  return raw ? [{ ...raw, id: newId("event") }] : [];
}

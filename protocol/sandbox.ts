import { z } from "zod";

/**
 * How far a sandbox holds, in one word: what the start screen, `/health` and `/debug` say.
 * - `weak`: a folder and a HOME of its own, as the user who started the product; no jail.
 * - `container`: a machine of the session's own, whose only way out leads through the Worker.
 */
export const SandboxLevel = z.enum(["weak", "container"]);
export type SandboxLevel = z.infer<typeof SandboxLevel>;

/**
 * State of a session's sandbox: of the engine that works in it and of what is kept. docs/sandboxes.md draws it.
 * - `stopped`: no engine. A new session begins so, and every end leads here; workspace and conversation are on disk.
 * - `starting`: an engine is wanted, by a prompt, ahead of one, or as a spare. It may wait for a place.
 * - `ready`: it has started and had no prompt yet.
 * - `busy`: a run is in progress.
 * - `saving`: the run has ended, and what it changed is being stored.
 * - `idle`: the run is over, the engine waits for the next prompt until `GANTRY_SLEEP_AFTER` is over.
 * - `lost`: it held a run and cannot be reached, or is gone. The run ends as such; the next prompt starts a new one.
 */
export const SandboxState = z.enum(["stopped", "starting", "ready", "busy", "saving", "idle", "lost"]);
export type SandboxState = z.infer<typeof SandboxState>;

/**
 * What changes it: `start` an engine is wanted; `started` it is there; `run` it has a prompt; `rest` the run has ended;
 * `save`, `saved` around storing; `end` the engine is gone, whatever ended it; `lose` nobody hears of it any more.
 */
export type SandboxChange = "start" | "started" | "run" | "rest" | "save" | "saved" | "end" | "lose";

const NEXT: Readonly<Record<SandboxState, Partial<Record<SandboxChange, SandboxState>>>> = {
  stopped: { start: "starting" },
  starting: { started: "ready", run: "busy", rest: "idle", end: "stopped", lose: "lost" },
  ready: { run: "busy", end: "stopped", lose: "lost" },
  busy: { rest: "idle", save: "saving", end: "stopped", lose: "lost" },
  saving: { saved: "idle", run: "busy", end: "stopped", lose: "lost" },
  idle: { run: "busy", save: "saving", end: "stopped", lose: "lost" },
  lost: { start: "starting", end: "stopped" },
};

/** The state after a change; one that means nothing in a state leaves it as it is. */
export function nextSandboxState(state: SandboxState, change: SandboxChange): SandboxState {
  return NEXT[state][change] ?? state;
}

/** What a runner says of a session's sandbox: the answer of `GET /sessions/{id}`. */
export const SandboxReport = z.object({
  runnerId: z.string(),
  state: SandboxState,
  /** Milliseconds since 1970. */
  since: z.number(),
  /** Starts that come before its own; null unless it waits. */
  position: z.number().int().nullable(),
  /** When the engine will be ended for want of a prompt; null while something runs and when there is none. */
  sleepsAt: z.number().nullable(),
});
export type SandboxReport = z.infer<typeof SandboxReport>;

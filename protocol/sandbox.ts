import { z } from "zod";

/**
 * How strong a sandbox is. The start screen, `/health` and `/debug` show it.
 * - `weak`: each session has its own folder and HOME, but runs as the user who started the product, without a jail.
 * - `container`: each session has its own container, whose only way out leads through the Worker.
 */
export const SandboxLevel = z.enum(["weak", "container"]);
export type SandboxLevel = z.infer<typeof SandboxLevel>;

/**
 * State of a session's sandbox. docs/sandboxes.md has a diagram.
 * - `stopped`: there is no engine. A new session begins here, and every end leads here. Workspace and conversation are on
 *   disk.
 * - `starting`: an engine starts for a prompt, ahead of one, or as a spare. It may wait in a queue.
 * - `ready`: the engine has started and has had no prompt yet.
 * - `busy`: a run is in progress.
 * - `saving`: the run has ended and its changes are being stored.
 * - `idle`: the run is over. The engine waits for the next prompt, for as long as `GANTRY_SLEEP_AFTER` allows.
 * - `lost`: the sandbox held a run and cannot be reached or is gone. The run ends as `sandbox_lost`; the next prompt
 *   starts a new sandbox.
 */
export const SandboxState = z.enum(["stopped", "starting", "ready", "busy", "saving", "idle", "lost"]);
export type SandboxState = z.infer<typeof SandboxState>;

/**
 * A change of the state. `start`: an engine is needed; `started`: it runs; `run`: it has a prompt; `rest`: the run has
 * ended; `save`, `saved`: saving begins and ends; `end`: the engine is gone, for whatever reason; `lose`: contact is lost.
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

/** The state after a change. A change that has no meaning in a state leaves it unchanged. */
export function nextSandboxState(state: SandboxState, change: SandboxChange): SandboxState {
  return NEXT[state][change] ?? state;
}

/** A runner's report on a session's sandbox: the answer to `GET /sessions/{id}`. */
export const SandboxReport = z.object({
  runnerId: z.string(),
  state: SandboxState,
  /** Milliseconds since 1970. */
  since: z.number(),
  /** Number of starts ahead in the queue; null unless the start is queued. */
  position: z.number().int().nullable(),
  /** Time at which the idle engine will be stopped, in milliseconds since 1970; null while it runs and without an engine. */
  sleepsAt: z.number().nullable(),
});
export type SandboxReport = z.infer<typeof SandboxReport>;

import { RequestRefused } from "@gantry/protocol/error.ts";
import { DEFAULT_MAX_TURNS } from "@gantry/protocol/run-options.ts";
import { DEFAULT_PERMISSION_MODE, PermissionMode } from "@gantry/protocol/permission-mode.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import type { SessionSetup } from "../../catalog/session-setup.ts";

/** Maximum turns of a run of a configured agent: a brake against endless loops, not a budget. */
export const AGENT_MAX_TURNS = 200;

/** Options that a request names, before they are checked. */
export type WantedOptions = Partial<Omit<RunOptions, "permissionMode">> & { readonly permissionMode?: string };

/** Options that a request names, checked. What it leaves out is filled in by `mergeOptions`. */
export type CheckedOptions = Partial<RunOptions>;

/** Checks a permission mode by name. `full` is an older name of `bypassPermissions`. */
export function toPermissionMode(name: string, field: string): PermissionMode {
  const parsed = PermissionMode.safeParse(name === "full" ? "bypassPermissions" : name);
  if (parsed.success) return parsed.data;
  throw new RequestRefused({
    code: "invalid_request",
    field,
    reason: `unknown permission mode ${JSON.stringify(name)}; known are ${PermissionMode.options.join(", ")}`,
  });
}

/** What a run's options are made of, the weakest first. */
export interface OptionSources {
  /** `GANTRY_PERMISSION_MODE`. */
  readonly defaultMode: string | undefined;
  /** The session's setup; null for a session that a prompt alone has made. */
  readonly setup: SessionSetup | null;
  /** What the prompt's request names. */
  readonly wanted: CheckedOptions;
  /** Whether the prompt came by the sessions API, whose prompts name no mode: the session's own applies. */
  readonly isApi: boolean;
  /** Text that the operator adds for the model. */
  readonly context?: string | undefined;
  /** Called when the request names no model. */
  readonly model: () => string;
}

/** Merges the options of a run. This is the only place where they are merged. */
export function mergeOptions({ defaultMode, setup, wanted, isApi, context, model }: OptionSources): RunOptions {
  const { system, effort, tools, permissionMode } = setup?.engine ?? {};
  return {
    maxTurns: DEFAULT_MAX_TURNS,
    permissionMode: toPermissionMode(defaultMode ?? DEFAULT_PERMISSION_MODE, "permissionMode"),
    ...(system === undefined ? {} : { appendSystemPrompt: system }),
    ...(effort === undefined ? {} : { effort }),
    ...(tools === undefined ? {} : { agent: tools }),
    ...wanted,
    ...(isApi && permissionMode !== undefined ? { permissionMode } : {}),
    ...(context === undefined ? {} : { context }),
    model: wanted.model ?? model(),
  };
}

const DEFAULT_RUN_MINUTES = 30;

/** The longest time that a timer can hold. */
const MAX_RUN_MINUTES = 35_791;

/** Milliseconds that a run may take. An invalid number of minutes counts as not given: without a limit a run could hang. */
export function deadlineOf(minutes: string | undefined): number {
  const value = Number(minutes || DEFAULT_RUN_MINUTES);
  return Math.round((value > 0 && value <= MAX_RUN_MINUTES ? value : DEFAULT_RUN_MINUTES) * 60_000);
}

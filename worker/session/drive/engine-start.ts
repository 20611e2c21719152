import type { EngineStart } from "@gantry/protocol/link.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import type { DriverDeps } from "./driver-deps.ts";

/** What an engine of this session starts with. Null before a runner holds the session. */
export function engineStart(deps: DriverDeps, options: RunOptions): EngineStart | null {
  const token = deps.lease.token();
  if (token === null) return null;
  return {
    options,
    engineSessionId: deps.engineSessionId(),
    models: { token, ...deps.models(options.model) },
    idleMs: deps.idleMs(),
    mounts: deps.mounts(),
  };
}

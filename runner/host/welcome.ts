import { PROTOCOL_VERSION } from "@gantry/protocol/link.ts";
import type { Report } from "@gantry/protocol/link.ts";
import type { ActiveRun } from "./active-run.ts";
import type { HostSettings } from "./host-settings.ts";

/** The first report on a new link: what this runner has of the session. */
export function welcomeOf(
  settings: HostSettings,
  host: {
    readonly run: ActiveRun | null;
    /** Ids of runs that ended here. */
    readonly ended: string[];
    /** Id of the run that was parked here. */
    readonly parked: string | null;
    /** Name of the session's folder; null when there is none. */
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

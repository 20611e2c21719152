import type {
  BetaSelfHostedWork,
  BetaSelfHostedWorkHeartbeatResponse,
} from "@anthropic-ai/sdk/resources/beta/environments/work";
import { RequestRefused } from "@gantry/protocol/error.ts";
import { toIso } from "../storage/catalog.ts";

/** A row of the table `work`. Times are milliseconds since 1970. */
export interface WorkRow {
  id: string;
  account: string;
  environment_id: string;
  session: string;
  state: BetaSelfHostedWork["state"];
  metadata: string;
  created_at: number;
  polled_at: number | null;
  acknowledged_at: number | null;
  started_at: number | null;
  heartbeat_at: number | null;
  lease_until: number;
  ttl_ms: number;
  stop_requested_at: number | null;
  stopped_at: number | null;
  token_hash: string | null;
}

/** The last heartbeat in the form that a worker sends back. */
export function lastBeat(row: WorkRow): string {
  return row.heartbeat_at === null ? "NO_HEARTBEAT" : toIso(row.heartbeat_at);
}

/** The answer to a heartbeat. */
export function toBeat(row: WorkRow, extended: boolean): BetaSelfHostedWorkHeartbeatResponse {
  return {
    type: "work_heartbeat",
    last_heartbeat: toIso(row.heartbeat_at) ?? "",
    lease_extended: extended,
    state: row.state,
    ttl_seconds: row.ttl_ms / 1000,
  };
}

/** The error for a heartbeat whose `expected_last_heartbeat` is outdated: another worker may hold the lease. */
export function notExpected(row: WorkRow): RequestRefused {
  const state = {
    last_heartbeat: toIso(row.heartbeat_at),
    lease_extended: false,
    state: row.state,
    ttl_seconds: row.ttl_ms / 1000,
  };
  return new RequestRefused({ code: "heartbeat_precondition_failed", state });
}

/** An item in the API's shape. */
export function toWork(row: WorkRow): BetaSelfHostedWork {
  return {
    type: "work",
    id: row.id,
    environment_id: row.environment_id,
    data: { type: "session", id: row.session },
    state: row.state,
    metadata: JSON.parse(row.metadata) as Record<string, string>,
    secret: null,
    created_at: toIso(row.created_at),
    acknowledged_at: toIso(row.acknowledged_at),
    started_at: toIso(row.started_at),
    latest_heartbeat_at: toIso(row.heartbeat_at),
    stop_requested_at: toIso(row.stop_requested_at),
    stopped_at: toIso(row.stopped_at),
  } satisfies BetaSelfHostedWork;
}

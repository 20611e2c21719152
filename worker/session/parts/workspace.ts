import type { Sandbox } from "../../sandbox/sandbox.ts";
import type { EventLog } from "../log/event-log.ts";
import type { Resources } from "../store/resources.ts";
import type { RunQueue } from "../store/run-queue.ts";
import { NO_SETUP } from "../../catalog/session-setup.ts";
import type { Result } from "../../workspace/copy-session.ts";
import type { Settings } from "../store/settings.ts";
import { textOf } from "../../storage/sql.ts";
import type { Sql, Transaction } from "../../storage/sql.ts";
import type { Snapshots } from "../../snapshots/snapshots.ts";
import { createTables } from "../store/schema.ts";
import { runnerFolder } from "../../workspace/runner-folder.ts";
import { Workspace } from "../../workspace/workspace.ts";

/** Largest file that the API accepts for a workspace. */
const MAX_WRITE_BYTES = 512 * 1024 * 1024;

/** The workspace of a session, made of the session's parts. */
export function workspaceOf(
  sandbox: Sandbox,
  session: {
    readonly sql: Sql;
    readonly sessionId: string;
    readonly transaction: Transaction;
    readonly snapshots: Snapshots;
    readonly log: EventLog;
    readonly queue: RunQueue;
    readonly settings: Settings;
    readonly resources: Resources;
    /** Makes the next run begin with a new link. */
    readonly unlink: () => void;
  },
): Workspace {
  const { sql, sessionId, snapshots, queue, settings, resources, unlink } = session;
  return new Workspace({
    ...session,
    folder: runnerFolder(sandbox, sessionId, snapshots, MAX_WRITE_BYTES),
    createTables: () => createTables(sql),
    setup: () => settings.setup() ?? NO_SETUP,
    saveSetup: (setup) => settings.saveSetup(setup),
    resources: () => resources.list(),
    addResource: (resource) => resources.add(resource),
    engineSessionId: () => engineSessionIn(sql),
    release: () => {
      if (queue.running() || queue.next()) return false;
      unlink();
      return true;
    },
    now: () => Date.now(),
  });
}

/** Id of the engine's conversation. */
export function engineSessionIn(sql: Sql): string {
  return textOf(sql.exec("SELECT engine_session_id FROM session").toArray()[0], "engine_session_id");
}

export function unknown(sessionId: string): Result<never> {
  return { ok: false, error: { code: "not_found", what: `Session ${JSON.stringify(sessionId)}` } };
}

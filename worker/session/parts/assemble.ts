import { engineToken, isEngineToken, newId } from "@gantry/protocol/ids.ts";
import type { Env } from "../../base/env.ts";
import { report } from "../../base/log.ts";
import { contextTokensOf, modelsOf } from "../../models/models.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import type { Snapshots } from "../../snapshots/snapshots.ts";
import { remembered } from "../../storage/remembered.ts";
import { textOf } from "../../storage/sql.ts";
import { stepsOf } from "../../triage/steps.ts";
import type { Workspace } from "../../workspace/workspace.ts";
import { Driver } from "../drive/driver.ts";
import { peersOf, tellWhoWaits } from "../drive/peer-actions.ts";
import { Rest } from "../drive/rest.ts";
import type { SessionParts } from "../drive/session-parts.ts";
import { dial } from "../link/dial.ts";
import { BlockedHosts } from "../log/blocked-hosts.ts";
import { EventLog } from "../log/event-log.ts";
import { Threads } from "../log/threads.ts";
import { keyHolds } from "../sockets/key-holds.ts";
import { Sockets } from "../sockets/sockets.ts";
import { Alarms } from "../store/alarms.ts";
import { Approvals } from "../store/approvals.ts";
import { AuditOutbox } from "../store/audit-outbox.ts";
import { Lease } from "../store/lease.ts";
import { Resources } from "../store/resources.ts";
import { deadlineOf } from "../store/run-options.ts";
import { RunQueue } from "../store/run-queue.ts";
import { Settings } from "../store/settings.ts";
import { sandboxOf } from "./sandbox.ts";
import { snapshotsOf } from "./snapshots.ts";
import { engineSessionIn, workspaceOf } from "./workspace.ts";

/** Everything that a session's object is made of: its stored state and what acts on it. */
export interface Assembly extends SessionParts {
  readonly env: Env;
  readonly audit: AuditOutbox;
  readonly alarms: Alarms;
  readonly driver: Driver;
  readonly snapshots: Snapshots;
  readonly sockets: Sockets;
  readonly sandbox: Sandbox;
  readonly blocked: BlockedHosts;
  readonly rest: Rest;
  readonly workspace: Workspace;
  /** The account that owns the session. Call only while the session exists. */
  readonly account: () => string;
  /** Keeps the object alive until the work is done. */
  readonly waitUntil: (work: Promise<unknown>) => void;
  /** The model of the next run that names none. */
  readonly model: () => string;
}

/** Puts a session together. `onAnnounce` is called after events were committed. */
export function assemble(ctx: DurableObjectState, env: Env, onAnnounce: () => void): Assembly {
  const { sql, transaction } = remembered(ctx.storage.sql, (work) => ctx.storage.transactionSync(work));
  const sessionId = ctx.id.name ?? "";
  let owner: string | null = null;
  // It never changes, and every call asks for it.
  const account = (): string => (owner ??= textOf(sql.exec("SELECT account FROM session").toArray()[0], "account"));
  const settings = new Settings(sql);
  const parts: SessionParts = {
    sql,
    sessionId,
    transaction,
    log: new EventLog(sql, onAnnounce),
    queue: new RunQueue(sql),
    lease: new Lease(sql),
    approvals: new Approvals(sql),
    threads: new Threads(sql),
    settings,
    resources: new Resources(sql),
  };
  const { log, queue, resources } = parts;
  const alarms = new Alarms(sql, (at) => void ctx.storage.setAlarm(at));
  const sandbox = sandboxOf(ctx, env, settings, account);
  const rest = new Rest(sandbox, alarms, queue, settings);
  const setAlarm = (at: number | null): void => alarms.set("snapshots", at);
  const snapshots = snapshotsOf(env, sandbox, sessionId, { ...parts, setAlarm, account });
  const driver = new Driver({
    ...parts,
    peers: peersOf(env, settings, account, parts),
    onEnded: (run) => ctx.waitUntil(tellWhoWaits(env, account(), run)),
    triage: { sql, steps: stepsOf(env), owner: () => ({ account: account(), sessionId }) },
    dial: (hello, on) => dial(sandbox, sessionId, { ...hello, mirror: snapshots.transcripts.ends() }, on),
    files: snapshots,
    setAlarm: (at) => rest.runsUntil(at),
    now: () => Date.now(),
    newEventId: () => newId("event"),
    newToken: (offered) =>
      offered !== undefined && isEngineToken(sessionId, offered) ? offered : engineToken(sessionId),
    engineSessionId: () => engineSessionIn(sql),
    idleMs: () => settings.setup()?.sleepAfterMs,
    models: (model) => ({ ...sandbox.models, ...contextTokensOf(env, model) }),
    mounts: () => resources.list().map((resource) => resource.mount),
    deadlineMs: deadlineOf(env.GANTRY_RUN_MINUTES),
    report: (entry) => report({ sessionId, ...entry }),
  });
  const waitUntil = (work: Promise<unknown>): void => ctx.waitUntil(work);
  return {
    ...parts,
    env,
    audit: new AuditOutbox(sql, env, (work) => ctx.waitUntil(work)),
    alarms,
    driver,
    snapshots,
    sockets: new Sockets(log, ctx, {
      holds: (keyId) => keyHolds(env, keyId, waitUntil),
      setAlarm: (at) => alarms.set("keys", at),
    }),
    waitUntil,
    sandbox,
    blocked: new BlockedHosts(log, queue),
    rest,
    workspace: workspaceOf(sandbox, { ...parts, snapshots, unlink: () => driver.drop("files are replaced") }),
    account,
    model() {
      const router = modelsOf(env);
      const last = queue.lastModel() ?? settings.setup()?.engine.model ?? null;
      return last !== null && router.knows(last) ? last : router.defaultModel;
    },
  };
}

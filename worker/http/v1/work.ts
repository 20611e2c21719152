import { PageQuery } from "@gantry/protocol/api/common.ts";
import { WorkHeartbeatQuery, WorkPollQuery, WorkStop, WorkUpdate } from "@gantry/protocol/api/work.ts";
import { RequestRefused } from "@gantry/protocol/error.ts";
import type { Context } from "hono";
import { toBase64Url } from "@gantry/protocol/bytes.ts";
import { environments } from "../../catalog/environments/store.ts";
import {
  acknowledgeWork,
  addWork,
  beat,
  claimWork,
  getWork,
  listWork,
  notePoll,
  stopWork,
  updateWork,
  workStats,
} from "../../self-hosted/work.ts";
import type { WorkKey } from "../../self-hosted/work.ts";
import { readJson } from "../request/body.ts";
import type { App } from "../request/context.ts";
import { actorOf, found, pageOf, readQuery } from "../request/query.ts";
import { toSessionStub } from "../../session/call/session-of.ts";
import { checkSpace } from "../../sandbox/space.ts";

/** `/v1/environments/{id}/work`: the work queue of a self-hosted environment, as in Managed Agents. */

/** Interval at which a waiting poll looks for work, in milliseconds. */
const LOOK_MS = 250;

/** Delay before a session that still has work gets another item, in milliseconds. Its worker may fail every time. */
const AGAIN_MS = 2_000;

/** `GET .../work/poll`: a work item with its credential, or null. */
export async function pollWork(c: Context<App>): Promise<Response> {
  const { block_ms: blockMs = 0, reclaim_older_than_ms: reclaimMs } = readQuery(c, WorkPollQuery);
  const key = await environmentOf(c, true);
  await checkSpace(c.env);
  const worker = c.req.header("anthropic-worker-id");
  if (worker) await notePoll(c.env, key.environmentId, worker.slice(0, 256));
  c.header("cache-control", "no-store");
  for (const until = Date.now() + blockMs; ;) {
    const claimed = await claimWork(c.env, key, reclaimMs);
    if (claimed) return c.json({ ...claimed.work, secret: secretOf(claimed.token, new URL(c.req.url).origin) });
    const left = until - Date.now();
    if (left <= 0) return c.json(null);
    await scheduler.wait(Math.min(LOOK_MS, left));
  }
}

/** The credential that a worker decodes: the token for the session, and the URL of this API. */
function secretOf(sessions_token: string, api_base_url: string): string {
  return toBase64Url(new TextEncoder().encode(JSON.stringify({ sessions_token, api_base_url })));
}

/** `GET .../work` */
export async function listWorkDoor(c: Context<App>): Promise<Response> {
  const query = readQuery(c, PageQuery);
  return c.json(await listWork(c.env, await environmentOf(c), pageOf(query)));
}

/** `GET .../work/stats` */
export async function retrieveWorkStats(c: Context<App>): Promise<Response> {
  return c.json(await workStats(c.env, await environmentOf(c)));
}

/** `GET .../work/{work}` */
export async function retrieveWork(c: Context<App>): Promise<Response> {
  const key = await keyOfWork(c);
  return c.json(found(await getWork(c.env, key), "Work", key.id));
}

/** `POST .../work/{work}` */
export async function updateWorkDoor(c: Context<App>): Promise<Response> {
  const { metadata } = await readJson(c.req.raw, WorkUpdate);
  const key = await keyOfWork(c);
  return c.json(found(await updateWork(c.env, actorOf(c), key, metadata), "Work", key.id));
}

/** `POST .../work/{work}/ack` */
export async function acknowledgeWorkDoor(c: Context<App>): Promise<Response> {
  const key = await keyOfWork(c);
  return c.json(found(await acknowledgeWork(c.env, key), "Work", key.id));
}

/** `POST .../work/{work}/heartbeat` */
export async function beatDoor(c: Context<App>): Promise<Response> {
  const { desired_ttl_seconds, expected_last_heartbeat } = readQuery(c, WorkHeartbeatQuery);
  const key = await keyOfWork(c);
  return c.json(found(await beat(c.env, key, desired_ttl_seconds * 1000, expected_last_heartbeat), "Work", key.id));
}

/** `POST .../work/{work}/stop`. A session that still has something to do gets another item. */
export async function stopWorkDoor(c: Context<App>): Promise<Response> {
  const { force = false } = await readJson(c.req.raw, WorkStop);
  const key = await keyOfWork(c);
  const work = found(await stopWork(c.env, actorOf(c), key, force), "Work", key.id);
  const { account, environmentId } = key;
  const session = work.data.id;
  // Asked after the stop. A run that begins later finds no open item and adds one itself.
  if (work.state === "stopped" && (await toSessionStub(c.env, session).wantsWork(account)))
    await addWork(c.env, { account, environmentId, session }, AGAIN_MS);
  return c.json(work);
}

/** The environment that the path names. Throws 404 when the account has no such environment. */
async function environmentOf(c: Context<App>, mustBeSelfHosted = false): Promise<Omit<WorkKey, "id">> {
  const { account } = c.get("principal");
  const id = c.req.param("id") ?? "";
  const environment = found(await environments.get(c.env, account, id), "Environment", id, "environment_not_found");
  if (mustBeSelfHosted && environment.config.type !== "self_hosted")
    throw new RequestRefused({ code: "invalid_request", field: "id", reason: "this environment is not self-hosted" });
  return { account, environmentId: id };
}

async function keyOfWork(c: Context<App>): Promise<WorkKey> {
  return { ...(await environmentOf(c)), id: c.req.param("work") ?? "" };
}

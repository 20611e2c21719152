import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { availableParallelism } from "node:os";
import { statfs } from "node:fs/promises";
import { newId, isId } from "@gantry/protocol/ids.ts";
import { MAX_LINK_DEPTH, parseJsonWithin } from "@gantry/protocol/json-limits.ts";
import { EngineWish } from "@gantry/protocol/link.ts";
import type { SandboxReport } from "@gantry/protocol/sandbox.ts";
import { answerContainer, processHealth } from "./container-routes.ts";
import type { ContainerVariables } from "./container-routes.ts";
import { guard, guarded } from "../base/guarded.ts";
import { Admission } from "../host/admission.ts";
import { Pool } from "../host/pool.ts";
import { SessionHost } from "../host/session-host.ts";
import { rootsOf } from "../folders/session-folders.ts";
import { Trash } from "../folders/trash.ts";
import { answerFiles, matchFileRoute } from "./file-routes.ts";
import { Links } from "./links.ts";
import { answerSnapshots, matchSnapshotRoute } from "./snapshot-routes.ts";

export interface RunnerSettings {
  readonly host: string;
  readonly port: number;
  /** Bearer token that every request must carry. */
  readonly token: string;
  /** Folder of all sessions' folders, or of the one session; see `rootsOf`. */
  readonly root: string;
  /** In a container: the only session that it serves, and that session's working directory. */
  readonly session?: string;
  readonly workspace?: string;
  /** Certificates that engines and their programs trust, where a proxy inspects outgoing traffic. */
  readonly caFile?: string;
  /** Prefix of the marker that all processes of this state folder carry. */
  readonly markerPrefix: string;
  /** PATH of the engine and its programs. */
  readonly path: string;
  /** An engine without a run is stopped after this time, unless its session says otherwise. */
  readonly idleMs: number;
  /** How many engines may be alive at once. */
  readonly maxEngines: number;
  /** Engines that are started before a session needs them; see `PoolSettings`. */
  readonly pool: { readonly size: number; readonly first: EngineWish | null };
  /** Defaults for requests to the container's own routes. */
  readonly variables?: ContainerVariables;
  readonly log: (entry: Record<string, unknown>) => void;
}

/** A running runner. */
export interface Runner {
  readonly port: number;
  /** Stops all runs, waits until their frames are stored or `graceMs` is over, then ends all engines and the server. */
  drain(graceMs: number): Promise<void>;
}

/** Largest body of `POST /spares`, in characters. */
const MAX_BODY_CHARS = 4_000_000;

/** Time without a prompt after which a spare may be started. */
const QUIET_MS = 1_000;

/**
 * Starts the runner's HTTP server. In a container it serves one session, on one machine many. Its routes:
 *
 * - `GET /health`
 * - `GET` and `DELETE /sessions/{id}`
 * - `/sessions/{id}/link`: the session's WebSocket (`links.ts`)
 * - `/sessions/{id}/snapshot...`, `/restore` (`snapshot-routes.ts`), `/files/...` and `/folder` (`file-routes.ts`)
 * - `POST /spares`: hands over a started engine to a new session
 * - the container's own routes (`container-routes.ts`)
 */
export async function startRunner(settings: RunnerSettings): Promise<Runner> {
  const runnerId = newId("runner");
  const hosts = new Map<string, SessionHost>();
  const { log } = settings;
  let draining = false;

  const admission = new Admission({
    startsAtOnce: availableParallelism(),
    maxEngines: settings.maxEngines,
    makeRoom: (reason) => {
      if (reason !== "pool" && pool.drop()) return;
      if (reason === "run") guard("engine_give_up", () => longestIdle(hosts)?.close());
    },
  });
  const open = (sessionId: string, engineToken?: string): SessionHost =>
    new SessionHost({
      ...settings,
      sessionId,
      runnerId,
      admission,
      ...(engineToken === undefined ? {} : { engineToken }),
    });
  const pool = new Pool({
    ...settings.pool,
    root: settings.root,
    open,
    quiet: () => admission.quiet && [...hosts.values()].every((host) => Date.now() - host.lastUsedAt > QUIET_MS),
    log,
  });

  const trash = new Trash(settings.root, log);
  trash.sweep();

  const hostOf = (sessionId: string): SessionHost => {
    let host = hosts.get(sessionId);
    if (!host) {
      host = open(sessionId);
      if (draining) host.drain();
      hosts.set(sessionId, host);
    }
    return host;
  };

  const container = {
    variables: settings.variables ?? {},
    hostOf,
    sessions: () => [...hosts].map(([id, host]) => ({ id, busy: host.busy })),
  };
  const isHosted = (sessionId: string): boolean =>
    isId("session", sessionId) && (settings.session ?? sessionId) === sessionId;

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const snapshots = matchSnapshotRoute(request);
    if (snapshots && isAuthorized(request, settings.token) && isHosted(snapshots.sessionId)) {
      return answerSnapshots(request, response, snapshots.rest, runnerId, hostOf(snapshots.sessionId));
    }
    const file = matchFileRoute(request);
    if (file && isAuthorized(request, settings.token) && isId("session", file.sessionId)) {
      return answerFiles(request, response, runnerId, hostOf(file.sessionId), file.path);
    }
    // A container that serves a session has no routes of its own, because the session alone may use it.
    const alone = settings.session === undefined && isAuthorized(request, settings.token);
    if (alone && answerContainer(request, response, container)) return;
    const { status, body } = await answer(request, settings, { runnerId, admission, pool, hosts, trash });
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  const server = createServer((request, response) =>
    guard(
      "request",
      () => serve(request, response),
      () => {
        if (response.writableEnded) return;
        // Once the answer has begun, only closing the connection can show that it is incomplete.
        if (response.headersSent) response.destroy();
        else response.writeHead(500, { "content-type": "application/json" }).end('{"error":"internal"}');
      },
    ),
  );
  const links = new Links({ hostOf, existing: (sessionId) => hosts.get(sessionId), log });

  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // A socket without this listener ends the process when the client breaks off.
    const note = (error: Error): void => log({ event: "link_error", error: error.message });
    socket.on("error", guarded("upgrade_error", note));
    const sessionId = /^\/sessions\/([^/]+)\/link$/.exec(request.url ?? "")?.[1];
    const known = sessionId !== undefined && isHosted(sessionId);
    if (!isAuthorized(request, settings.token) || !known) {
      socket.end(`HTTP/1.1 ${known ? "401 Unauthorized" : "404 Not Found"}\r\nconnection: close\r\n\r\n`);
      return;
    }
    guard(
      "upgrade",
      () => links.accept(request, socket, head, sessionId),
      () => socket.destroy(),
    );
  };
  server.on("upgrade", guarded("upgrade", upgrade));

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(settings.port, settings.host, resolve);
  });
  log({ event: "runner_ready", runnerId, port: portOf(server) });

  return {
    port: portOf(server),
    async drain(graceMs) {
      const until = Date.now() + graceMs;
      draining = true;
      for (const host of hosts.values()) host.drain();
      while (Date.now() < until && [...hosts.values()].some((host) => host.busy || host.files.saved.saving))
        await new Promise((r) => setTimeout(r, 25));
      log({ event: "drained", unsaved: [...hosts.values()].filter((host) => host.busy).length });
      await Promise.all([pool.close(), ...[...hosts.values()].map((host) => host.close())]);
      links.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(
  request: IncomingMessage,
  settings: RunnerSettings,
  state: { runnerId: string; admission: Admission; pool: Pool; hosts: Map<string, SessionHost>; trash: Trash },
): Promise<{ status: number; body: unknown }> {
  if (!isAuthorized(request, settings.token)) return { status: 401, body: { error: "unauthorized" } };
  const sessionId = /^\/sessions\/([^/]+)$/.exec(request.url ?? "")?.[1];
  if (request.method === "DELETE" && sessionId && isId("session", sessionId)) {
    await state.hosts.get(sessionId)?.close();
    state.hosts.delete(sessionId);
    const removed = await state.trash.take(rootsOf({ root: settings.root, sessionId }).base);
    return { status: 200, body: { deleted: sessionId, removed } };
  }
  if (request.method === "GET" && sessionId && isId("session", sessionId)) {
    const none: SandboxReport = {
      runnerId: state.runnerId,
      state: "stopped",
      since: 0,
      position: null,
      sleepsAt: null,
    };
    return { status: 200, body: state.hosts.get(sessionId)?.sandbox ?? none };
  }
  if (request.method === "POST" && request.url === "/spares") {
    const wish = EngineWish.safeParse(await readJson(request));
    if (!wish.success) return { status: 400, body: { error: "invalid_request" } };
    const spare = state.pool.claim(wish.data);
    if (spare) state.hosts.set(spare.sessionId, spare.host);
    return { status: 200, body: { sessionId: spare?.sessionId ?? null } };
  }
  if (request.method !== "GET" || request.url !== "/health") return { status: 404, body: { error: "not_found" } };
  const disk = await statfs(settings.root).catch(() => null);
  const all = [...state.hosts.values()];
  return {
    status: 200,
    body: {
      status: "ok",
      runnerId: state.runnerId,
      freeBytes: disk ? disk.bavail * disk.bsize : null,
      engines: state.admission.counts,
      busySessions: all.filter((host) => host.busy).length,
      pool: state.pool.counts,
      ...processHealth(),
    },
  };
}

/** The host whose engine has been idle for the longest time. */
function longestIdle(hosts: ReadonlyMap<string, SessionHost>): SessionHost | undefined {
  return [...hosts.values()]
    .filter((host) => host.idleSince !== null)
    .toSorted((a, b) => (a.idleSince ?? 0) - (b.idleSince ?? 0))[0];
}

/** The body as JSON; null when it is too long, nested too deep or not JSON. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const piece of request.setEncoding("utf8")) {
    text += piece as string;
    if (text.length > MAX_BODY_CHARS) return null;
  }
  try {
    return parseJsonWithin(text, MAX_LINK_DEPTH);
  } catch {
    return null;
  }
}

/** Whether the request carries the token. Compares digests, so that the time taken reveals nothing. */
function isAuthorized(request: IncomingMessage, token: string): boolean {
  const given = createHash("sha256")
    .update(request.headers.authorization ?? "")
    .digest();
  return timingSafeEqual(given, createHash("sha256").update(`Bearer ${token}`).digest());
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

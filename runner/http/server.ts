import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, Server } from "node:http";
import { availableParallelism } from "node:os";
import { statfs } from "node:fs/promises";
import { newId, isId } from "@gantry/protocol/ids.ts";
import { CLOSE, Command, EngineWish, MessageAssembler, isReadableBy, toMessages } from "@gantry/protocol/link.ts";
import type { SandboxReport } from "@gantry/protocol/sandbox.ts";
import { WebSocketServer } from "ws";
import type { WebSocket } from "ws";
import { answerContainer, processHealth } from "./container-routes.ts";
import type { ContainerVariables } from "./container-routes.ts";
import { Admission } from "../host/admission.ts";
import { Pool } from "../host/pool.ts";
import { SessionHost } from "../host/session-host.ts";
import { removeFolder } from "../folders/remove-folder.ts";
import { rootsOf } from "../folders/session-folders.ts";
import { answerFiles, matchFileRoute } from "./file-routes.ts";
import { answerSnapshots, matchSnapshotRoute } from "./snapshot-routes.ts";

export interface RunnerSettings {
  readonly host: string;
  readonly port: number;
  /** Whoever dials must show it. */
  readonly token: string;
  /** Where the sessions' folders are. */
  readonly root: string;
  /** In a container: the one session it is for, others are refused; and its working directory. */
  readonly session?: string;
  readonly workspace?: string;
  /** Certificates that engines and what they run trust, where the way out is looked into. */
  readonly caFile?: string;
  readonly markerPrefix: string;
  /** PATH of the engine and what it runs. */
  readonly path: string;
  readonly idleMs: number;
  /** Engines that may live at once. */
  readonly maxEngines: number;
  /** Engines that are started before anybody asks for them. */
  readonly pool: { readonly size: number; readonly first: EngineWish | null };
  /** What requests to the container's own routes fall back to. */
  readonly variables?: ContainerVariables;
  readonly log: (entry: Record<string, unknown>) => void;
}

/** A runner that listens. */
export interface Runner {
  readonly port: number;
  /** Interrupts what runs, waits until the frames are stored or `graceMs` is over, and ends all engines. */
  drain(graceMs: number): Promise<void>;
}

/** Largest message taken from the other side; ours are half a million characters at most. */
const MAX_PAYLOAD_BYTES = 4_000_000;

/** Without a prompt for this long, there is time to start an engine that nobody waits for. */
const QUIET_MS = 1_000;

/**
 * The runner's door: the container's own routes (`container-routes.ts`), `GET /health`, one WebSocket a session at `/sessions/{id}/link`, `GET` and
 * `DELETE /sessions/{id}`, and
 * `POST /spares` for whoever is about to make a session.
 * One program: it hosts a single session in a container and many on one machine.
 */
export async function startRunner(settings: RunnerSettings): Promise<Runner> {
  const runnerId = newId("runner");
  const hosts = new Map<string, SessionHost>();
  const links = new Map<string, { socket: WebSocket; epoch: number }>();
  const { log } = settings;
  let draining = false;

  const admission = new Admission({
    startsAtOnce: availableParallelism(),
    maxEngines: settings.maxEngines,
    makeRoom: (reason) => {
      if (reason !== "pool" && pool.drop()) return;
      if (reason === "run") void longestIdle(hosts)?.close();
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

  const server = createServer((request, response) => {
    const snapshots = matchSnapshotRoute(request);
    if (snapshots && authorised(request, settings.token) && isHosted(snapshots.sessionId)) {
      void answerSnapshots(request, response, snapshots.rest, runnerId, hostOf(snapshots.sessionId));
      return;
    }
    const file = matchFileRoute(request);
    if (file && authorised(request, settings.token) && isId("session", file.sessionId)) {
      void answerFiles(request, response, runnerId, hostOf(file.sessionId), file.path);
      return;
    }
    // A container that a session dials is that session's alone.
    const alone = settings.session === undefined && authorised(request, settings.token);
    if (alone && answerContainer(request, response, container)) return;
    void answer(request, settings, { runnerId, admission, pool, hosts }).then(({ status, body }) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  const sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_PAYLOAD_BYTES, perMessageDeflate: false });

  server.on("upgrade", (request, socket, head) => {
    const sessionId = /^\/sessions\/([^/]+)\/link$/.exec(request.url ?? "")?.[1];
    const known = sessionId !== undefined && isHosted(sessionId);
    if (!authorised(request, settings.token) || !known) {
      socket.end(`HTTP/1.1 ${known ? "401 Unauthorized" : "404 Not Found"}\r\nconnection: close\r\n\r\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => serve(ws, sessionId));
  });

  function serve(socket: WebSocket, sessionId: string): void {
    const assembler = new MessageAssembler();
    let greeted = false;
    socket.on("message", (data: Buffer) => {
      try {
        const value = assembler.push(data.toString("utf8"));
        if (value === undefined) return;
        const command = Command.parse(value);
        if (command.type === "hello") {
          greeted = greet(socket, sessionId, command);
        } else if (greeted && links.get(sessionId)?.socket === socket) {
          hostOf(sessionId).handle(command);
        }
      } catch (error) {
        log({ event: "bad_command", sessionId, error: String(error) });
        socket.close(CLOSE.badMessage, "bad message");
      }
    });
    socket.on("close", () => {
      if (links.get(sessionId)?.socket !== socket) return;
      links.delete(sessionId);
      hosts.get(sessionId)?.detach();
    });
    socket.on("error", (error) => log({ event: "link_error", sessionId, error: error.message }));
  }

  function greet(socket: WebSocket, sessionId: string, hello: Extract<Command, { type: "hello" }>): boolean {
    const { epoch } = hello;
    const current = links.get(sessionId);
    if (current && current.socket !== socket) {
      if (epoch <= current.epoch) {
        socket.close(CLOSE.staleEpoch, "a newer link exists");
        return false;
      }
      // Closed, not forgotten: whoever holds the old link must notice at once.
      current.socket.close(CLOSE.replaced, "replaced by a newer link");
    }
    links.set(sessionId, { socket, epoch });
    hostOf(sessionId).attach((report) => {
      if (!isReadableBy(hello.protocol, report)) return;
      for (const message of toMessages(report)) socket.send(message);
    }, hello);
    return true;
  }

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
      for (const { socket } of links.values()) socket.terminate();
      server.closeAllConnections();
      server.close();
    },
  };
}

async function answer(
  request: IncomingMessage,
  settings: RunnerSettings,
  state: { runnerId: string; admission: Admission; pool: Pool; hosts: Map<string, SessionHost> },
): Promise<{ status: number; body: unknown }> {
  if (!authorised(request, settings.token)) return { status: 401, body: { error: "unauthorized" } };
  const sessionId = /^\/sessions\/([^/]+)$/.exec(request.url ?? "")?.[1];
  if (request.method === "DELETE" && sessionId && isId("session", sessionId)) {
    await state.hosts.get(sessionId)?.close();
    state.hosts.delete(sessionId);
    await removeFolder(rootsOf({ root: settings.root, sessionId }).base);
    return { status: 200, body: { deleted: sessionId } };
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

/** The host whose engine has had nothing to do for the longest time. */
function longestIdle(hosts: ReadonlyMap<string, SessionHost>): SessionHost | undefined {
  return [...hosts.values()]
    .filter((host) => host.idleSince !== null)
    .toSorted((a, b) => (a.idleSince ?? 0) - (b.idleSince ?? 0))[0];
}

/** The body as JSON; null when it is none. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const piece of request.setEncoding("utf8")) {
    text += piece as string;
    if (text.length > MAX_PAYLOAD_BYTES) return null;
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function authorised(request: IncomingMessage, token: string): boolean {
  const given = createHash("sha256")
    .update(request.headers.authorization ?? "")
    .digest();
  return timingSafeEqual(given, createHash("sha256").update(`Bearer ${token}`).digest());
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address ? address.port : 0;
}

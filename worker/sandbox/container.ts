import { toHex } from "@gantry/protocol/bytes.ts";
import { NoCapacity, RUNNER_PORT } from "./sandbox.ts";
import type { Sandbox } from "./sandbox.ts";
import type { SandboxType } from "./types.ts";

/** Facts about a start. The session stores them, so that a later object can use the running container. */
export interface ContainerStart {
  /** Opens the runner. New with each start; only the session and the container know it. */
  readonly token: string;
  /** Names the start. Outbound requests (`egress.ts`) carry it, so that those of an abandoned container are refused. */
  readonly startId: string;
  /** When a run last needed the container, in milliseconds since 1970. */
  readonly usedAt: number;
}

/** What a container needs of its session. */
export interface ContainerDeps {
  readonly sessionId: string;
  /** Milliseconds without a run after which the container sleeps. */
  readonly sleepAfterMs: () => number;
  readonly kept: () => ContainerStart | null;
  readonly keep: (start: ContainerStart) => void;
  /** Image and size; null when the deployment has only one. */
  readonly type: () => Promise<SandboxType | null>;
  /** Handles all outbound requests of the container. */
  readonly egress: (startId: string) => Promise<Fetcher>;
  readonly report: (entry: Record<string, unknown>) => void;
}

/** Host name under which engines reach the router. Plain HTTP is safe: it never leaves the machine's network stack. */
export const MODELS_HOST = "models.internal";

/** How long a start may take until the runner answers, and the pause between requests to it. */
const READY_MS = 45_000;
const LOOK_MS = 50;
const ASK_TIMEOUT_MS = 3_000;

/** Time between SIGTERM and the kill: the runner ends its runs, and their last frames are stored. */
const STOP_MS = 20_000;

/** If the session never wakes to put the container to sleep, the platform stops it. Its limit is six hours. */
const BACKSTOP_MS = 10 * 60_000;
const MAX_INACTIVITY_MS = 6 * 3_600_000;

/** The platform's errors when no machine is free: all allowed instances run, or none is near. */
const NO_CAPACITY = /no container instance|maximum number of running|max(imum)? instances|no capacity|rate.?limit/i;

/** This session's own Cloudflare Container. Its disk is new at every start; its outbound traffic goes through the Worker. */
export function containerSandbox(container: Container, deps: ContainerDeps): Sandbox {
  let starting: Promise<void> | null = null;
  /** Whether this object monitors the running container. A new object after an eviction does not yet. */
  let watched = false;
  /** Why the last container ended by itself; null otherwise. */
  let ended: string | null = null;
  /** A run has needed the container since `usedAt` was stored. */
  let busy = false;
  let stopping: Promise<void> | null = null;

  const getTcpPort: Sandbox["getTcpPort"] = (port) => ({
    fetch(url, init) {
      const headers = new Headers(init?.headers);
      headers.set("authorization", `Bearer ${deps.kept()?.token ?? ""}`);
      // A port belongs to one start, so get it again for each request.
      return container.getTcpPort(port).fetch(url, { ...init, headers });
    },
  });

  function watch(): void {
    watched = true;
    ended = null;
    const startId = deps.kept()?.startId;
    container.monitor().then(
      () => left("it ended"),
      (error: unknown) => left(error instanceof Error ? error.message : String(error)),
    );
    function left(why: string): void {
      // Another container may run by now.
      if (deps.kept()?.startId !== startId) return;
      watched = false;
      ended = why;
      deps.report({ event: "container_ended", why });
    }
  }

  async function start(): Promise<void> {
    let kept = deps.kept();
    if (container.running && kept === null) await container.destroy();
    if (container.running && watched) return ready();
    const fresh = !container.running || kept === null;
    if (fresh) {
      kept = { token: secret(), startId: secret(), usedAt: Date.now() };
      deps.keep(kept);
    }
    const chosen = fresh ? imageAndSize(await deps.type()) : {};
    const egress = await deps.egress(kept?.startId ?? "");
    await container.interceptOutboundHttps("*", egress);
    await container.interceptAllOutboundHttp(egress);
    const beganAt = Date.now();
    if (fresh && !container.running)
      container.start({
        ...chosen,
        env: { GANTRY_TOKEN: kept?.token ?? "", GANTRY_SESSION: deps.sessionId },
        // Only what the interception above allows can leave.
        enableInternet: false,
      } as ContainerStartupOptions);
    watch();
    await ready();
    await container.setInactivityTimeout(Math.min(deps.sleepAfterMs() + BACKSTOP_MS, MAX_INACTIVITY_MS));
    if (fresh) deps.report({ event: "container_started", ms: Date.now() - beganAt });
  }

  /** Start options for a type; none when `wrangler.jsonc` has only one image and size. */
  function imageAndSize(type: SandboxType | null): object {
    if (type === null) return {};
    const image = container.images[type.image];
    if (image === undefined)
      throw new Error(
        `there is no image ${JSON.stringify(type.image)} among the containers' images in wrangler.jsonc: ${Object.keys(container.images).join(", ")}`,
      );
    return { image, instance: type.instance };
  }

  /** Waits until the runner answers: a running container may not listen yet. */
  async function ready(): Promise<void> {
    const until = Date.now() + READY_MS;
    for (;;) {
      const response = await getTcpPort(RUNNER_PORT)
        .fetch("http://runner/health", { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) })
        .catch((error: unknown) => String(error));
      if (typeof response !== "string") {
        await response.body?.cancel();
        if (response.ok) return;
      }
      const why = ended ?? (typeof response === "string" ? response : `the runner answered ${response.status}`);
      if (NO_CAPACITY.test(why)) throw new NoCapacity(why);
      if (ended !== null || !container.running) throw new Error(`the container did not start: ${why}`);
      if (Date.now() > until) {
        // Whatever runs there is not our runner, so the next start must be a fresh one.
        await container.destroy();
        throw new Error(`the container did not answer in ${READY_MS / 1000} s: ${why}`);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  async function stop(): Promise<void> {
    container.signal(15);
    const until = Date.now() + STOP_MS;
    while (container.running && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (container.running) await container.destroy();
    deps.report({ event: "container_sleeps" });
  }

  function sleepsAt(): number | null {
    const kept = deps.kept();
    if (!container.running || kept === null) return null;
    const usedAt = busy ? Date.now() : kept.usedAt;
    if (busy) deps.keep({ ...kept, usedAt });
    busy = false;
    return usedAt + deps.sleepAfterMs();
  }

  return {
    start: () =>
      (starting ??= Promise.resolve(stopping)
        .then(start)
        .finally(() => (starting = null))),
    used: () => void (busy = true),
    sleepsAt,
    async sleep() {
      const at = sleepsAt();
      if (at === null || at > Date.now() || starting) return;
      await (stopping ??= stop().finally(() => (stopping = null)));
    },
    costsToStart: () => !container.running,
    getTcpPort,
    // The egress handler knows which session a model call belongs to, so the container holds no secret for it.
    models: { baseUrl: `http://${MODELS_HOST}`, token: "not-needed-in-here" },
    async destroy() {
      if (container.running) await container.destroy();
    },
  };
}

function secret(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(24)));
}

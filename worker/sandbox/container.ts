import { toHex } from "@gantry/protocol/bytes.ts";
import { NoCapacity, RUNNER_PORT } from "./sandbox.ts";
import type { Sandbox } from "./sandbox.ts";
import type { SandboxType } from "./types.ts";

/** What a start leaves behind for whoever finds the container running: kept by the session. */
export interface ContainerStart {
  /** Opens the runner; new with each start, known to nobody else. */
  readonly token: string;
  /** Names the start: what the way out (`egress.ts`) says of itself, so that a container that was given up is refused. */
  readonly startId: string;
  /** When a run needed it last, in milliseconds since 1970. */
  readonly usedAt: number;
}

export interface ContainerDeps {
  readonly sessionId: string;
  /** Milliseconds without a run after which it sleeps. */
  readonly sleepAfterMs: () => number;
  readonly kept: () => ContainerStart | null;
  readonly keep: (start: ContainerStart) => void;
  /** Image and size; null where the deployment has one for all. */
  readonly type: () => Promise<SandboxType | null>;
  /** What answers everything that goes out of it. */
  readonly egress: (startId: string) => Promise<Fetcher>;
  readonly report: (entry: Record<string, unknown>) => void;
}

/** The name under which engines find the router. Plain HTTP: it never leaves the machine's network stack. */
export const MODELS_HOST = "models.internal";

/** How long a start may take until the runner answers, and how often it is asked. */
const READY_MS = 45_000;
const LOOK_MS = 50;
const ASK_TIMEOUT_MS = 3_000;

/** Time between SIGTERM and the end: the runner ends runs and has their last frames stored. */
const STOP_MS = 20_000;

/** Where the session should never wake to have it sleep, the platform stops it; it takes no more than six hours. */
const BACKSTOP_MS = 10 * 60_000;
const MAX_INACTIVITY_MS = 6 * 3_600_000;

/** What the platform says when there is no machine to be had: all that may run do, or none is near. */
const NO_CAPACITY = /no container instance|maximum number of running|max(imum)? instances|no capacity|rate.?limit/i;

/** A Cloudflare Container of this session's own. Its disk is new at every start; the way out leads through the Worker. */
export function containerSandbox(container: Container, deps: ContainerDeps): Sandbox {
  let starting: Promise<void> | null = null;
  /** Whether this object watches the container that runs; after an eviction it does not, and begins again. */
  let watched = false;
  /** Why the last one ended, when it ended by itself. */
  let ended: string | null = null;
  /** A run has needed it since the kept time was written. */
  let busy = false;
  let stopping: Promise<void> | null = null;

  const getTcpPort: Sandbox["getTcpPort"] = (port) => ({
    fetch(url, init) {
      const headers = new Headers(init?.headers);
      headers.set("authorization", `Bearer ${deps.kept()?.token ?? ""}`);
      // A port is of one start: it must be taken anew.
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
      // Another one may run by now.
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
        // Nothing goes out but what the interception above lets out.
        enableInternet: false,
      } as ContainerStartupOptions);
    watch();
    await ready();
    await container.setInactivityTimeout(Math.min(deps.sleepAfterMs() + BACKSTOP_MS, MAX_INACTIVITY_MS));
    if (fresh) deps.report({ event: "container_started", ms: Date.now() - beganAt });
  }

  /** What the platform is told of a type; nothing where `wrangler.jsonc` has one image and size for all. */
  function imageAndSize(type: SandboxType | null): object {
    if (type === null) return {};
    const image = container.images[type.image];
    if (image === undefined)
      throw new Error(
        `there is no image ${JSON.stringify(type.image)} among images of containers in wrangler.jsonc: ${Object.keys(container.images).join(", ")}`,
      );
    return { image, instance: type.instance };
  }

  /** Running is not listening. */
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
        // Whatever it is, it is not a runner of ours; the next start begins anew.
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
    // Whom a model call is for, the way out knows by itself: there is nothing in here to take away.
    models: { baseUrl: `http://${MODELS_HOST}`, token: "not-needed-in-here" },
    async destroy() {
      if (container.running) await container.destroy();
    },
  };
}

function secret(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(24)));
}

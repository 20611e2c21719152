import { beforeEach, describe, expect, it } from "vitest";
import { containerSandbox } from "./container.ts";
import type { ContainerStart } from "./container.ts";
import { NoCapacity } from "./sandbox.ts";
import type { SandboxType } from "./types.ts";

/** A scripted stand-in for the platform's container. e2e/containers starts real ones. */
class ScriptedContainer {
  running = false;
  readonly calls: string[] = [];
  readonly images = { plain: "registry/plain@sha256:1" };
  env: Record<string, string> = {};
  /** Image and size it was started with. */
  chosen: object = {};
  /** Error with which `monitor` rejects at once; null: it waits until the container is stopped. */
  ends: Error | null = null;
  #end: ((error: Error | null) => void)[] = [];

  start(options: { env: Record<string, string>; enableInternet: boolean }): void {
    const { env, enableInternet, ...chosen } = options;
    this.calls.push(`start internet=${enableInternet}`);
    this.env = env;
    this.chosen = chosen;
    this.running = true;
  }
  monitor(): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error: Error | null): void => {
        this.running = false;
        if (error) reject(error);
        else resolve();
      };
      if (this.ends) end(this.ends);
      else this.#end.push(end);
    });
  }
  signal(signo: number): void {
    this.calls.push(`signal ${signo}`);
    for (const end of this.#end.splice(0)) end(null);
  }
  async destroy(): Promise<void> {
    this.calls.push("destroy");
    for (const end of this.#end.splice(0)) end(null);
    this.running = false;
  }
  async setInactivityTimeout(ms: number): Promise<void> {
    this.calls.push(`inactivity ${ms}`);
  }
  async interceptAllOutboundHttp(): Promise<void> {
    this.calls.push("intercept http");
  }
  async interceptOutboundHttps(addr: string): Promise<void> {
    this.calls.push(`intercept https ${addr}`);
  }
  getTcpPort(): { fetch(url: string, init: RequestInit): Promise<Response> } {
    return {
      fetch: async (_url, init) => {
        if (!this.running) throw new Error("the container is not listening");
        const shown = new Headers(init.headers).get("authorization");
        return new Response(null, { status: shown === `Bearer ${this.env["GANTRY_TOKEN"]}` ? 200 : 401 });
      },
    };
  }
}

let container: ScriptedContainer;
let kept: ContainerStart | null;
let type: SandboxType | null;
const open = (sleepAfterMs = 60_000): ReturnType<typeof containerSandbox> =>
  containerSandbox(container as unknown as Container, {
    sessionId: "sesn_1",
    sleepAfterMs: () => sleepAfterMs,
    kept: () => kept,
    keep: (start) => void (kept = start),
    type: async () => type,
    egress: async (startId) => ({ startId }) as unknown as Fetcher,
    report: () => {},
  });

beforeEach(() => {
  container = new ScriptedContainer();
  kept = null;
  type = null;
});

describe("the start of a container", () => {
  it("intercepts outbound traffic first, passes a new token, and returns when the runner answers", async () => {
    await open().start();
    expect(container.calls).toEqual([
      "intercept https *",
      "intercept http",
      "start internet=false",
      "inactivity 660000",
    ]);
    expect(container.env).toEqual({ GANTRY_TOKEN: kept?.token, GANTRY_SESSION: "sesn_1" });
    expect(kept?.token).toMatch(/^[0-9a-f]{48}$/);
    expect(kept?.startId).not.toBe(kept?.token);
  });

  it("takes image and size from the session's environment if the deployment offers a choice", async () => {
    await open().start();
    expect(container.chosen).toEqual({});
    container = new ScriptedContainer();
    kept = null;
    type = { image: "plain", instance: "standard-4" };
    await open().start();
    expect(container.chosen).toEqual({ image: "registry/plain@sha256:1", instance: "standard-4" });
  });

  it("fails when the deployment lacks the image, and names those it has", async () => {
    type = { image: "huge", instance: "standard-1" };
    await expect(open().start()).rejects.toThrow(/no image "huge" among .*: plain/);
    expect(container.running).toBe(false);
  });

  it("happens once for concurrent callers, and not again while the container runs", async () => {
    const sandbox = open();
    await Promise.all([sandbox.start(), sandbox.start()]);
    await sandbox.start();
    expect(container.calls.filter((call) => call.startsWith("start"))).toHaveLength(1);
  });

  it("is not needed when an earlier object of the session left it running: traffic is intercepted again", async () => {
    await open().start();
    const before = kept;
    container.calls.length = 0;
    await open().start();
    expect(container.calls).toEqual(["intercept https *", "intercept http", "inactivity 660000"]);
    expect(kept).toEqual(before);
  });

  it("destroys a container that runs under an unknown token", async () => {
    container.running = true;
    await open().start();
    expect(container.calls[0]).toBe("destroy");
    expect(container.calls).toContain("start internet=false");
  });

  it("uses a new token each time", async () => {
    const sandbox = open();
    await sandbox.start();
    const first = kept?.token;
    await sandbox.destroy();
    await sandbox.start();
    expect(kept?.token).not.toBe(first);
  });

  it.each([
    ["there is no container instance that can be provided to this durable object", true],
    ["Maximum number of running container instances exceeded. Try again later.", true],
    ["container exited with unexpected exit code: 7", false],
  ])("that fails with %j says whether a container may be free later", async (message, noCapacity) => {
    container.ends = new Error(message);
    const error: unknown = await open()
      .start()
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Error);
    expect(error instanceof NoCapacity).toBe(noCapacity);
    expect(String(error)).toContain(message);
  });
});

describe("sleep", () => {
  it("comes after the time without a run, by SIGTERM", async () => {
    const sandbox = open(1);
    await sandbox.start();
    sandbox.used();
    expect(sandbox.sleepsAt()).toBe((kept?.usedAt ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await sandbox.sleep();
    expect(container.calls.at(-1)).toBe("signal 15");
    expect([container.running, sandbox.sleepsAt()]).toEqual([false, null]);
  });

  it("does not come earlier", async () => {
    const sandbox = open(60_000);
    await sandbox.start();
    sandbox.used();
    await sandbox.sleep();
    expect(container.running).toBe(true);
  });
});

import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { createTestHarness } from "wrangler";
import type { TestHarness } from "wrangler";
import { Client, until } from "../kit/client.ts";
import { ROOT } from "../kit/gantry.ts";

/** What wrangler calls: Docker, or what stands in for its command where images cannot be pulled. */
const DOCKER = process.env["WRANGLER_DOCKER_BIN"] ?? "docker";

/** Whether there is a Docker that answers. */
export function hasDocker(): boolean {
  try {
    execFileSync(DOCKER, ["version"], { stdio: "ignore", timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(DOCKER, args, { maxBuffer: 200_000_000 });
  return stdout.trim();
}

/** Secrets of the deployment that must be nowhere in a container. */
export const PROVIDER_KEY = "sk-ant-containers-secret";
export const ENCRYPTION_KEY = `test:${Buffer.alloc(32, "gantry containers").toString("base64")}`;

/**
 * The product as it is deployed, in wrangler's own runtime, with a real container a session: `wrangler.jsonc`, the
 * `Dockerfile`, the entrypoint that answers what goes out.
 */
export class Cloud extends Client {
  readonly #harness: TestHarness;

  private constructor(vars: Record<string, string>, configPath: string) {
    super();
    this.key = "gk_containers_test";
    this.#harness = createTestHarness({
      root: ROOT,
      workers: [
        {
          configPath,
          secrets: {
            GANTRY_API_KEY: this.key,
            GANTRY_ENCRYPTION_KEY: ENCRYPTION_KEY,
            ANTHROPIC_API_KEY: PROVIDER_KEY,
          },
          vars: { MODEL: "demo/scripted", ...vars },
        },
      ],
    });
  }

  /** Builds the image where it changed, and starts. */
  static async start(vars: Record<string, string> = {}, configPath = "wrangler.jsonc"): Promise<Cloud> {
    const cloud = new Cloud(vars, configPath);
    const { url } = await cloud.#harness.listen();
    cloud.url = url.origin;
    return cloud;
  }

  async stop(): Promise<void> {
    await this.#harness.close();
  }

  /** What the Worker has logged. */
  logs(): string[] {
    return this.#harness.getLogs().map(({ message }) => message);
  }

  /** Ids of all containers that run, with the session that each is for. */
  async containers(): Promise<Map<string, string>> {
    const ids = (await docker("ps", "-q")).split("\n").filter((id) => id !== "");
    if (ids.length === 0) return new Map();
    const format = "{{.Id}} {{range .Config.Env}}{{println .}}{{end}}";
    const described = await docker("inspect", "-f", format, ...ids).catch(() => "");
    const found = new Map<string, string>();
    let id = "";
    for (const line of described.split("\n")) {
      id = /^([0-9a-f]{64}) /.exec(line)?.[1] ?? id;
      const session = /GANTRY_SESSION=(\S+)/.exec(line)?.[1];
      if (session !== undefined) found.set(session, id);
    }
    return found;
  }

  /** The container of a session; null when none runs. */
  async container(sessionId: string): Promise<string | null> {
    return (await this.containers()).get(sessionId) ?? null;
  }

  async untilStopped(sessionId: string): Promise<void> {
    await until(async () => (await this.container(sessionId)) === null, "the container to be gone");
  }

  /** Runs something in a session's container, beside everything of ours, as root where that is said. */
  async exec(sessionId: string, command: string, user = "agent"): Promise<string> {
    const id = await this.container(sessionId);
    if (id === null) throw new Error(`no container of ${sessionId}`);
    return docker("exec", "--user", user, id, "bash", "-c", command);
  }

  /** SIGKILL for a container, as when a machine is lost. */
  async kill(sessionId: string): Promise<void> {
    const id = await this.container(sessionId);
    if (id !== null) await docker("kill", id);
  }

  /** SIGTERM for a container, as when a machine is taken away. */
  async terminate(sessionId: string): Promise<void> {
    const id = await this.container(sessionId);
    if (id !== null) await docker("stop", "-t", "20", id);
  }
}

/** A container of the image by itself, as `docker run` starts it: no session, no Worker, a port on loopback. */
export class LoneContainer {
  /** Name of this machine inside the container. */
  static readonly HOST = "host.docker.internal";
  static readonly TOKEN = "a-token-of-the-container";
  url = "";
  readonly #id: string;

  private constructor(id: string) {
    this.#id = id;
  }

  /** Builds the image where it changed, and starts one. Ready when it listens. */
  static async start(variables: Record<string, string>): Promise<LoneContainer> {
    const image = "gantry-container:test";
    await docker("build", "--tag", image, ROOT);
    const env = Object.entries({ ...variables, GANTRY_TOKEN: LoneContainer.TOKEN }).flatMap(([name, value]) => [
      "--env",
      `${name}=${value}`,
    ]);
    // Below the ports that connections take for themselves: one of those may be taken between the choice and its use.
    const network = ["--publish", "127.0.0.1:21000-21999:8080", "--add-host", `${LoneContainer.HOST}:host-gateway`];
    const lone = new LoneContainer(await docker("run", "--detach", ...network, ...env, image));
    try {
      lone.url = `http://${(await docker("port", lone.#id, "8080/tcp")).split("\n")[0]}`;
      await until(
        () =>
          fetch(lone.url).then(
            () => true,
            () => false,
          ),
        "the container to listen",
      );
    } catch (error) {
      await lone.remove();
      throw error;
    }
    return lone;
  }

  /** Waits for the image's health check to say so. */
  async untilHealthy(): Promise<void> {
    await until(
      async () => (await docker("inspect", "-f", "{{.State.Health.Status}}", this.#id)) === "healthy",
      "the health check to say that it is well",
    );
  }

  /** Runs something in it, as the agent. */
  exec(command: string): Promise<string> {
    return docker("exec", "--user", "agent", this.#id, "bash", "-c", command);
  }

  async remove(): Promise<void> {
    await docker("rm", "--force", "--volumes", this.#id);
  }
}

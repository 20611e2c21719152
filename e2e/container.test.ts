import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, ROOT } from "./gantry.ts";
import { ContainerServer, VARIABLES, containerDoorStories, containerStories } from "./stories/container-routes.ts";

const TOKEN = "a-token-of-the-container";

/** The runner's program, as the container's entry starts it. */
class Container {
  readonly root = mkdtempSync(join(tmpdir(), "gantry-container-"));
  readonly #child: ChildProcess;
  server = new ContainerServer("", "");

  private constructor(variables: Record<string, string>) {
    this.#child = spawn(process.execPath, [join(ROOT, "runner", "main.ts")], {
      env: { PATH: process.env["PATH"] ?? "" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const settings = {
      host: "127.0.0.1",
      port: 0,
      token: TOKEN,
      variables,
      root: this.root,
      markerPrefix: `${this.root}:`,
      path: process.env["PATH"] ?? "",
      idleMs: 600_000,
      maxEngines: 2,
      pool: { size: 0, first: null },
    };
    this.#child.stdin?.end(`${JSON.stringify(settings)}\n`);
  }

  static async start(variables: Record<string, string>): Promise<Container> {
    const container = new Container(variables);
    const lines = createInterface({ input: container.#child.stdout as NodeJS.ReadableStream });
    const port = await new Promise<string>((resolve) =>
      lines.on("line", (line) => {
        const ready = /^\{"ready":\{"port":(\d+)\}\}$/.exec(line)?.[1];
        if (ready) resolve(ready);
      }),
    );
    container.server = new ContainerServer(`http://127.0.0.1:${port}`, TOKEN);
    return container;
  }

  async remove(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await ended;
    rmSync(this.root, { recursive: true, force: true, maxRetries: 10 });
  }
}

let gantry: Gantry;
let container: Container;
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_POOL: "0" });
  container = await Container.start({
    ANTHROPIC_BASE_URL: gantry.url,
    ANTHROPIC_AUTH_TOKEN: gantry.key,
    ...VARIABLES,
  });
});
afterAll(async () => {
  await container.remove();
  await gantry.remove();
});

containerStories({ container: () => container.server, modelsUrl: () => gantry.url, secret: () => gantry.key });
containerDoorStories(() => gantry);

describe("the Worker's door to a container", () => {
  it("GET /container/health says how it is", async () => {
    const response = await gantry.fetch("/container/health");
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { status: "healthy", runner: { memory: { rssBytes: expect.any(Number) }, uptimeSeconds: expect.any(Number) } },
    ]);
    expect((await fetch(`${gantry.url}/container/health`)).status).toBe(401);
  });
});

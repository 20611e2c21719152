import { newId } from "@gantry/protocol/ids.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry } from "../kit/gantry.ts";
import { ContainerServer, VARIABLES, containerDoorStories, containerStories } from "../stories/container-routes.ts";
import { Cloud, LoneContainer } from "./cloud.ts";

/** The image without the product around it: its own routes; and the Worker's door to a container of the product. */

describe("the image alone", () => {
  let models: Gantry;
  let lone: LoneContainer;
  beforeAll(async () => {
    // A container reaches this machine by a name, not by loopback.
    models = await Gantry.start({ HOST: "0.0.0.0", GANTRY_ALLOWED_HOSTS: LoneContainer.HOST, GANTRY_POOL: "0" });
    lone = await LoneContainer.start({
      ...VARIABLES,
      ANTHROPIC_BASE_URL: modelsUrl(),
      ANTHROPIC_AUTH_TOKEN: models.key,
    });
  });
  afterAll(async () => {
    await lone.remove();
    await models.remove();
  });

  const modelsUrl = (): string => `http://${LoneContainer.HOST}:${models.port}`;
  containerStories({
    container: () => new ContainerServer(lone.url, LoneContainer.TOKEN),
    modelsUrl,
    secret: () => models.key,
  });

  it("says by its health check that it listens", async () => {
    await lone.untilHealthy();
  });

  it("does not show the key of its models to a client that reads from its runner", async () => {
    const environment = await lone.exec("tr '\\0' '\\n' < /proc/$(pgrep -f '^node /app/runner/main.ts')/environ");
    expect(environment).toContain("LANG=C.UTF-8");
    expect(environment).not.toContain(models.key);
    expect(environment).not.toContain(LoneContainer.TOKEN);
  });
});

describe("in the product", () => {
  let cloud: Cloud;
  beforeAll(async () => {
    cloud = await Cloud.start();
  });
  afterAll(() => cloud.stop());

  containerDoorStories(() => cloud);

  it("GET /container/health says that nothing is shared", async () => {
    const response = await cloud.fetch("/container/health");
    expect([response.status, await response.json()]).toMatchObject([
      200,
      { status: "healthy", level: "container", runner: null },
    ]);
    expect((await fetch(`${cloud.url}/container/health`)).status).toBe(401);
  });
});

describe("a container of a session", () => {
  it("answers none of the routes of a container that runs alone, even to a client with its token", async () => {
    const lone = await LoneContainer.start({ ...VARIABLES, GANTRY_SESSION: newId("session") });
    try {
      const server = new ContainerServer(lone.url, LoneContainer.TOKEN);
      const codes = await Promise.all(
        ["/", "/status", "/debug", "/health"].map(async (path) => (await server.fetch(path)).status),
      );
      expect(codes).toEqual([404, 404, 404, 200]);
      expect((await server.post({ prompt: "What is 1 + 1?" })).status).toBe(404);
    } finally {
      await lone.remove();
    }
  });
});

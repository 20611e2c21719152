import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry } from "../kit/gantry.ts";
import { RunnerProgram } from "../stories/runner-program.ts";
import { VARIABLES, containerDoorStories, containerStories } from "../stories/container-routes.ts";

let gantry: Gantry;
let container: RunnerProgram;
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_POOL: "0" });
  container = await RunnerProgram.start({
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

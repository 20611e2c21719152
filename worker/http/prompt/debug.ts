import type { Context } from "hono";
import { modelsOf } from "../../models/models.ts";
import { runnerHealth } from "../../sandbox/space.ts";
import { sandboxLevel } from "../../session/parts/sandbox.ts";
import { VERSION } from "../about/root.ts";
import type { App } from "../request/context.ts";

/** `GET /debug`, `GET /claude-code/debug`: the server's configuration. It names the settings and shows no secret value. */
export async function debug(c: Context<App>): Promise<Response> {
  const router = modelsOf(c.env);
  const runner = await runnerHealth(c.env);
  const texts = Object.entries(c.env as unknown as Record<string, unknown>).filter(
    ([, value]) => typeof value === "string",
  );
  return c.json({
    version: VERSION,
    requestId: c.get("requestId"),
    model: router.defaultModel,
    routes: router.routeNames(),
    permissionMode: c.env.GANTRY_PERMISSION_MODE ?? "acceptEdits",
    sandbox: { level: sandboxLevel(c.env), ...runner },
    environment: Object.fromEntries(texts.map(([name]) => [name, "[set]"])),
  });
}

import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import { SandboxLevel } from "@gantry/protocol/sandbox.ts";
import { environments } from "../../catalog/environments/store.ts";
import type { Env } from "../../base/env.ts";
import { report } from "../../base/log.ts";
import type { Settings } from "../store/settings.ts";
import { containerSandbox } from "../../sandbox/container.ts";
import type { EgressProps } from "../../sandbox/egress-rules.ts";
import { CLOSED, egressRules } from "../../sandbox/egress-rules.ts";
import type { EgressRules } from "../../sandbox/egress-rules.ts";
import { localRunner, localSandbox } from "../../sandbox/local.ts";
import type { Sandbox } from "../../sandbox/sandbox.ts";
import { sandboxType } from "../../sandbox/types.ts";

/** Time a container waits for the next prompt. */
const DEFAULT_SLEEP_AFTER_MS = 20 * 60_000;

/** How far sandboxes hold here. Whoever does not say so is not believed to have more than the least. */
export function sandboxLevel(env: Env): SandboxLevel {
  return SandboxLevel.catch("weak").parse(env.SANDBOX_LEVEL);
}

/** The sandbox of a session: its container where there is one, else the runner on this machine. */
export function sandboxOf(ctx: DurableObjectState, env: Env, settings: Settings, account: () => string): Sandbox {
  const sessionId = ctx.id.name ?? "";
  const { container } = ctx;
  if (!container) return localSandbox(sessionId, localRunner(env), env.MODELS_URL ?? "");
  const { Egress } = ctx.exports as unknown as { Egress: (options: { props: EgressProps }) => Fetcher };
  return containerSandbox(container, {
    sessionId,
    sleepAfterMs: () => settings.setup()?.sleepAfterMs ?? sleepAfterMs(env.GANTRY_SLEEP_AFTER),
    kept: () => settings.containerStart(),
    keep: (start) => settings.saveContainerStart(start),
    type: async () => sandboxType(env, (await environmentOf(env, account(), settings.setup()))?.metadata ?? {}),
    egress: async (startId) =>
      Egress({ props: { sessionId, startId, rules: await rulesOf(env, account(), settings.setup()) } }),
    report: (entry) => report({ sessionId, ...entry }),
  });
}

/** The session's environment as it is now; null: it has none, or one that is gone. */
async function environmentOf(
  env: Env,
  account: string,
  setup: ReturnType<Settings["setup"]>,
): Promise<BetaEnvironment | null> {
  return setup?.environmentId ? environments.get(env, account, setup.environmentId) : null;
}

/** What the session's environment lets out, as it is now. When it cannot be read, nothing. */
async function rulesOf(env: Env, account: string, setup: ReturnType<Settings["setup"]>): Promise<EgressRules> {
  if (!setup?.environmentId) return CLOSED;
  const environment = await environmentOf(env, account, setup);
  const mcpUrls = (setup.engine.tools?.mcpServers ?? []).map(({ url }) => url);
  return egressRules(environment?.config ?? null, mcpUrls);
}

/** Minutes. What cannot be read is the default: a container that never sleeps costs. */
function sleepAfterMs(minutes: string | undefined): number {
  const ms = Number(minutes) * 60_000;
  return ms > 0 ? Math.round(ms) : DEFAULT_SLEEP_AFTER_MS;
}

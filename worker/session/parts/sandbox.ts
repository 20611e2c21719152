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

/** How long an idle container waits for the next prompt. */
const DEFAULT_SLEEP_AFTER_MS = 20 * 60_000;

/** How well sandboxes isolate on this installation. Without a setting the weakest level is assumed. */
export function sandboxLevel(env: Env): SandboxLevel {
  return SandboxLevel.catch("weak").parse(env.SANDBOX_LEVEL);
}

/** The sandbox of a session: its container where there is one, otherwise the runner on this machine. */
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

/** The session's environment as it is now; null: it has none, or it was deleted. */
async function environmentOf(
  env: Env,
  account: string,
  setup: ReturnType<Settings["setup"]>,
): Promise<BetaEnvironment | null> {
  return setup?.environmentId ? environments.get(env, account, setup.environmentId) : null;
}

/** Which hosts the session's environment allows now. None when it cannot be read. */
async function rulesOf(env: Env, account: string, setup: ReturnType<Settings["setup"]>): Promise<EgressRules> {
  if (!setup?.environmentId) return CLOSED;
  const environment = await environmentOf(env, account, setup);
  const mcpUrls = (setup.engine.tools?.mcpServers ?? []).map(({ url }) => url);
  return egressRules(environment?.config ?? null, mcpUrls);
}

/** Milliseconds from a number of minutes. The default for an invalid one, because a container that never sleeps costs. */
function sleepAfterMs(minutes: string | undefined): number {
  const ms = Number(minutes) * 60_000;
  return ms > 0 ? Math.round(ms) : DEFAULT_SLEEP_AFTER_MS;
}

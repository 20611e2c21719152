import bundled from "../../triage.yaml";
import type { Env } from "../base/env.ts";
import { report } from "../base/log.ts";
import { modelsOf } from "../models/models.ts";
import { classifierStep } from "./classifier.ts";
import { parseTriageConfig } from "./config.ts";
import type { TriageConfig } from "./config.ts";
import { ruleStep } from "./rules.ts";
import { sourceStep } from "./source.ts";
import type { ReadRows } from "./source.ts";
import type { TriageStep } from "./triage.ts";

let current: { env: Env; steps: readonly TriageStep[] } | null = null;

/** The steps of this deployment, in order. Without steps every prompt passes. */
export function stepsOf(env: Env): readonly TriageStep[] {
  if (current?.env === env) return current.steps;
  const { config, problems } = parseTriageConfig(env.TRIAGE_CONFIG_TEXT ?? bundled);
  for (const problem of problems) report({ event: "triage_problem", ...problem });
  current = { env, steps: config === null ? [BROKEN] : toSteps(env, config) };
  return current.steps;
}

/** A configuration with errors refuses every prompt. The launcher does not start with one. */
const BROKEN: TriageStep = {
  name: "configuration",
  decide: () =>
    Promise.resolve({
      decision: {
        decision: "refuse",
        message: "The triage configuration of this server has errors; its log names them.",
      },
    }),
};

function toSteps(env: Env, config: TriageConfig): TriageStep[] {
  const read = reader(env, config.setup);
  return [
    ...config.rules.map(ruleStep),
    ...config.sources.map((source) => sourceStep(source, read)),
    ...(config.classifier === undefined
      ? []
      : [
          classifierStep(config.classifier, (body, signal, { account, sessionId }) =>
            modelsOf(env).messages(
              new Request("https://models.internal/v1/messages", {
                method: "POST",
                headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" },
                body: JSON.stringify(body),
                signal,
              }),
              { account, keyId: null, sessionId },
            ),
          ),
        ]),
  ];
}

/** Reads the sources' database. The set-up runs once per isolate; after a failure the next prompt tries again. */
function reader(env: Env, setup: readonly string[]): ReadRows {
  let ready: Promise<unknown> | null = null;
  return async (sql, values) => {
    const db = env.CONTEXT;
    ready ??= setup.length === 0 ? Promise.resolve() : db.batch(setup.map((statement) => db.prepare(statement)));
    await ready.catch((error: unknown) => {
      ready = null;
      throw error;
    });
    const { results } = await db
      .prepare(sql)
      .bind(...values)
      .all<Record<string, unknown>>();
    return results;
  };
}

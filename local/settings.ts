import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { totalmem } from "node:os";
import { join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { parseRouterConfig } from "@gantry/router/config/config.ts";
import { budgetWarning } from "@gantry/router/money/unpriced.ts";
import { referencedEnv, routerEnv } from "@gantry/router/routes/keys.ts";
import { parseTriageConfig } from "@gantry/worker/triage/config.ts";
import { PermissionMode } from "@gantry/protocol/permission-mode.ts";

/** The launcher's settings, validated. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  /** Absolute path of the state folder. */
  readonly state: string;
  readonly apiKey: string;
  /** Encrypts stored secrets and snapshots: `worker/storage/seal.ts`, `worker/snapshots/keys.ts`. */
  readonly encryptionKey: string;
  /** Text of the routes file. */
  readonly routes: string;
  /** Text of the triage file. */
  readonly triage: string;
  /** Worker bindings taken from the environment: settings, and the keys that routes use. */
  readonly bindings: Record<string, string>;
  /** Names of variables that hold secrets. They are removed from our own environment, so that no child inherits them. */
  readonly secrets: readonly string[];
  /** How many engines are started ahead of prompts, how many may run at once, and how long an idle one is kept. */
  readonly engines: { readonly pool: number; readonly max: number; readonly sleepAfterMs: number };
  /** Warnings for the user, one line each. */
  readonly warnings: readonly string[];
}

/** A setting that the user must change; the message names it and says what is wrong. */
export class BadSetting extends Error {}

const PROVIDER_KEYS = [
  "ANTHROPIC_API_KEY",
  "CLAUDE_CODE_OAUTH_TOKEN",
  "OPENROUTER_API_KEY",
  "GROQ_API_KEY",
  "OPENAI_API_KEY",
];
const PASSED_ON = [
  "MODEL",
  "GANTRY_PERMISSION_MODE",
  "GANTRY_ALLOWED_HOSTS",
  "GANTRY_MIN_FREE_BYTES",
  "GANTRY_RUN_MINUTES",
  "GANTRY_ACCOUNT_BUDGET_USD",
  "GANTRY_SESSION_BUDGET_USD",
  "GANTRY_SNAPSHOT_EXCLUDE",
  "GANTRY_SNAPSHOT_KEEP",
  "GANTRY_SNAPSHOT_MINUTES",
  "GANTRY_SNAPSHOT_MAX_FILE_BYTES",
  "GANTRY_SNAPSHOT_MAX_BYTES",
  "GANTRY_SNAPSHOT_MAX_ENTRIES",
  "GANTRY_TRUSTED_GIT_HOSTS",
  "GANTRY_TRUSTED_MCP_HOSTS",
];

interface Range {
  readonly min: number;
  readonly max: number;
  readonly whole: boolean;
}

/** Numbers that other parts read. A value they cannot read would mean no limit, or a run that never starts. */
const NUMBERS = {
  GANTRY_MIN_FREE_BYTES: { min: 0, max: 2 ** 63, whole: true },
  // Node's timers fire at once beyond 2^31 milliseconds.
  GANTRY_RUN_MINUTES: { min: 1, max: 35_000, whole: true },
  GANTRY_POOL: { min: 0, max: 100, whole: true },
  GANTRY_MAX_ENGINES: { min: 1, max: 10_000, whole: true },
  GANTRY_SLEEP_AFTER: { min: 0.01, max: 35_000, whole: false },
  GANTRY_SNAPSHOT_KEEP: { min: 1, max: 10_000, whole: true },
  GANTRY_SNAPSHOT_MINUTES: { min: 0.01, max: 10_000, whole: false },
  GANTRY_SNAPSHOT_MAX_FILE_BYTES: { min: 1, max: 2 ** 50, whole: true },
  GANTRY_SNAPSHOT_MAX_BYTES: { min: 1, max: 2 ** 50, whole: true },
  GANTRY_SNAPSHOT_MAX_ENTRIES: { min: 1, max: 5_000_000, whole: true },
  GANTRY_ACCOUNT_BUDGET_USD: { min: 0, max: 1e9, whole: false },
  GANTRY_SESSION_BUDGET_USD: { min: 0, max: 1e9, whole: false },
} as const satisfies Readonly<Record<string, Range>>;

/** How many engines fit in half of the memory: one takes about 300 MB with the commands it runs. */
function enginesForMemory(bytes: number): number {
  return Math.max(4, Math.floor(bytes / 2 / 300_000_000));
}

/**
 * Reads settings from the environment and from `.env` and `.dev.vars` in `folder`. The environment comes first, then `.env`.
 * Throws `BadSetting`.
 */
export function readSettings(environment: NodeJS.ProcessEnv, folder: string): Settings {
  const files = [".env", ".dev.vars"].map((name) => join(folder, name)).filter((path) => existsSync(path));
  const fromFiles = Object.assign(
    {},
    ...files.toReversed().map((path) => parseEnv(readFileSync(path, "utf8"))),
  ) as Record<string, string>;
  const env = { ...fromFiles, ...environment };
  const port = numberOf(env, "PORT", 8787, { min: 0, max: 65_535, whole: true });
  for (const [name, range] of Object.entries(NUMBERS)) numberOf(env, name, range.min, range);
  const state = resolve(folder, env["GANTRY_STATE"] || ".gantry");
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const mode = env["GANTRY_PERMISSION_MODE"];
  if (mode && mode !== "full" && !PermissionMode.safeParse(mode).success) {
    throw new BadSetting(
      `GANTRY_PERMISSION_MODE is ${JSON.stringify(mode)}; it must be one of ${PermissionMode.options.join(", ")}.`,
    );
  }
  const routesPath = resolve(folder, env["LITELLM_CONFIG"] || "litellm_config.yaml");
  if (!existsSync(routesPath)) throw new BadSetting(`LITELLM_CONFIG: there is no file ${routesPath}.`);
  const routes = readFileSync(routesPath, "utf8");
  const { config, problems } = parseRouterConfig(routes);
  const shown = problems.map((p) => `${routesPath}:${p.line}:${p.column} ${p.path}: ${p.message}`);
  if (problems.some((p) => p.severity === "error"))
    throw new BadSetting(["The routes file has errors:", ...shown].join("\n  "));
  const triagePath = resolve(folder, env["TRIAGE_CONFIG"] || "triage.yaml");
  const named = Boolean(env["TRIAGE_CONFIG"]);
  if (named && !existsSync(triagePath)) throw new BadSetting(`TRIAGE_CONFIG: there is no file ${triagePath}.`);
  const triage = existsSync(triagePath) ? readFileSync(triagePath, "utf8") : "";
  const faults = parseTriageConfig(triage).problems.map(
    (p) => `${triagePath}:${p.line}:${p.column} ${p.path}: ${p.message}`,
  );
  if (faults.length > 0) throw new BadSetting(["The triage file has errors:", ...faults].join("\n  "));
  const secrets = [...new Set([...PROVIDER_KEYS, ...referencedEnv(config)])];
  const bindings: Record<string, string> = {};
  for (const name of [...PASSED_ON, ...secrets]) if (env[name]) bindings[name] = env[name];
  const limited = Boolean(env["GANTRY_ACCOUNT_BUDGET_USD"] || env["GANTRY_SESSION_BUDGET_USD"]);
  const unpriced = limited ? budgetWarning(config, routerEnv(config, bindings)) : undefined;
  return {
    host: env["HOST"] || "127.0.0.1",
    port,
    state,
    apiKey: env["GANTRY_API_KEY"] || keptKey(state),
    routes,
    triage,
    encryptionKey: env["GANTRY_ENCRYPTION_KEY"] || keptEncryptionKey(state),
    bindings,
    secrets: [...secrets, "GANTRY_API_KEY", "GANTRY_ENCRYPTION_KEY"],
    engines: {
      pool: numberOf(env, "GANTRY_POOL", 1, NUMBERS.GANTRY_POOL),
      max: numberOf(env, "GANTRY_MAX_ENGINES", enginesForMemory(totalmem()), NUMBERS.GANTRY_MAX_ENGINES),
      sleepAfterMs: 60_000 * numberOf(env, "GANTRY_SLEEP_AFTER", 10, NUMBERS.GANTRY_SLEEP_AFTER),
    },
    warnings: unpriced === undefined ? shown : [...shown, unpriced],
  };
}

function numberOf(env: NodeJS.ProcessEnv, name: string, fallback: number, { min, max, whole }: Range): number {
  const text = env[name];
  if (!text) return fallback;
  const value = text.trim() === "" ? NaN : Number(text);
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
  throw new BadSetting(
    `${name} is ${JSON.stringify(text)}; it must be a ${whole ? "whole number" : "number"} from ${min} to ${max}.`,
  );
}

/** The admin API key of this state folder, created at the first start. */
function keptKey(state: string): string {
  return kept(join(state, "api-key"), () => `gk_${randomBytes(32).toString("base64url")}`);
}

/** The key that encrypts the secrets and snapshots of this state folder; without it they cannot be read again. */
function keptEncryptionKey(state: string): string {
  return kept(join(state, "encryption-key"), () => `k1:${randomBytes(32).toString("base64")}`);
}

/** Reads a secret of this state folder, and creates it if it is missing. */
function kept(path: string, make: () => string): string {
  const there = existsSync(path) ? readFileSync(path, "utf8").trim() : "";
  // The file is empty after a full disk or a kill at the first start; an empty key would open nothing.
  if (there !== "") return there;
  const key = make();
  writeFileSync(path, `${key}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
  return key;
}

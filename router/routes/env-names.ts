/** Environment variables by name. */
export type Env = Readonly<Record<string, string | undefined>>;

/** The configuration's way to name an environment variable: `os.environ/NAME`. */
const ENV_PREFIX = "os.environ/";

/** `os.environ/NAME` → NAME; anything else → undefined. */
export function envName(value: string | undefined): string | undefined {
  return value?.startsWith(ENV_PREFIX) === true ? value.slice(ENV_PREFIX.length) : undefined;
}

/** The value of the variable that `value` names, or `value` itself. */
export function resolveEnv(value: string | undefined, env: Env): string | undefined {
  const name = envName(value);
  return name === undefined ? value : env[name];
}

/** Whether a variable belongs to Gantry itself. Such a variable holds the admin key, for example, and no route may read it. */
export function isOwnSetting(name: string): boolean {
  return /^(?:GANTRY|RUNNER)_/.test(name);
}

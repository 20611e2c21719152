/** The configuration's way to name an environment variable: `os.environ/NAME`. */
const ENV_PREFIX = "os.environ/";

/** `os.environ/NAME` → NAME; anything else → undefined. */
export function envName(value: string | undefined): string | undefined {
  return value?.startsWith(ENV_PREFIX) === true ? value.slice(ENV_PREFIX.length) : undefined;
}

import type { RunStart } from "@gantry/protocol/link.ts";
import type { Mount } from "@gantry/protocol/mount.ts";

/**
 * Settings by which git reaches the repositories of a session, for the clone and later for the engine: their addresses lead
 * to the Worker, which adds the credentials. None of this is written to a `.git/config`. The token is the session's own,
 * which the engine has anyway.
 */
export function gitSettings(mounts: readonly Mount[], models: RunStart["models"]): [key: string, value: string][] {
  const repositories = mounts.filter((mount) => mount.type === "repository");
  if (repositories.length === 0) return [];
  const gateway = `${models.baseUrl}/sandbox/git/`;
  return [
    ...repositories.map(({ id, url }): [string, string] => [`url.${gateway}${id}.insteadOf`, url]),
    [`http.${gateway}.extraHeader`, `Authorization: Bearer ${models.token}`],
  ];
}

/** The settings as environment variables, which git reads without writing them anywhere. */
export function gitEnvironment(settings: readonly (readonly [key: string, value: string])[]): Record<string, string> {
  if (settings.length === 0) return {};
  return {
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(
      settings.flatMap(([key, value], i) => [
        [`GIT_CONFIG_KEY_${i}`, key],
        [`GIT_CONFIG_VALUE_${i}`, value],
      ]),
    ),
  };
}

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/** workerd ends when it cannot open another file. It needs two for a connection and three for a session in memory. */
export const ENOUGH_FILES = 10_000;

/**
 * How many files a process that we start may open; null when unknown. Node raises its own limit to the most that the
 * system allows, and workerd inherits that.
 */
export function openFileLimit(): number | null {
  try {
    const text = existsSync("/proc/self/limits")
      ? /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]
      : execFileSync("/bin/sh", ["-c", "ulimit -n"], { encoding: "utf8" }).trim();
    return text === "unlimited" ? Infinity : Number(text) || null;
  } catch {
    return null;
  }
}

/** The warning for a limit that is too low; null when it is high enough or unknown. */
export function openFilesWarning(limit: number | null): string | null {
  if (limit === null || limit >= ENOUGH_FILES) return null;
  return `This system allows ${limit} open files (ulimit -Hn). Some ${Math.floor(limit / 2)} connections use them up, and then all connections are cut. Raise the limit to ${ENOUGH_FILES} or more.`;
}

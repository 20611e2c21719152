import type { ApiError } from "@gantry/protocol/error.ts";
import { z } from "zod";
import { RUNNER_PORT } from "../sandbox/sandbox.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Snapshots } from "../snapshots/snapshots.ts";

type Done = { readonly ok: true } | { readonly ok: false; readonly error: ApiError };

/** Changes files in a session's sandbox. Starts the sandbox first, and restores the session's files if it lacks them. */
export interface RunnerFolder {
  /** Writes a file below the workspace. */
  put(path: string, body: ReadableStream<Uint8Array>): Promise<Done>;
  /** Removes a file or folder below the workspace. */
  remove(path: string): Promise<Done>;
}

const Folder = z.object({ runnerId: z.string(), folder: z.string().nullable() });
const Refusal = z.object({ message: z.string() });

const ASK_TIMEOUT_MS = 10_000;
const WRITE_TIMEOUT_MS = 600_000;

/** The folder of a session in its sandbox. `maxBytes`: size of the largest file. */
export function runnerFolder(
  sandbox: Sandbox,
  sessionId: string,
  snapshots: Pick<Snapshots, "prepare">,
  maxBytes: number,
): RunnerFolder {
  const ask = (path: string, init: RequestInit): Promise<Response> =>
    sandbox.getTcpPort(RUNNER_PORT).fetch(`http://runner/sessions/${sessionId}/${path}`, init);

  const prepare = async (): Promise<void> => {
    await sandbox.start();
    const response = await ask("folder", { signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
    await snapshots.prepare(Folder.parse(await response.json()), null);
  };

  const change = async (path: string, init: RequestInit): Promise<Done> => {
    try {
      await prepare();
      const address = `files/${path.split("/").map(encodeURIComponent).join("/")}`;
      const response = await ask(address, { ...init, signal: AbortSignal.timeout(WRITE_TIMEOUT_MS) });
      if (response.ok) return { ok: true };
      const refusal = Refusal.safeParse(await response.json());
      const reason = refusal.success ? refusal.data.message : `The sandbox answered ${response.status}.`;
      switch (response.status) {
        case 400:
          return { ok: false, error: { code: "invalid_request", field: "path", reason } };
        case 404:
          return { ok: false, error: { code: "not_found", what: `File ${JSON.stringify(path)}` } };
        case 409:
          return { ok: false, error: { code: "conflict", reason } };
        case 413:
          return { ok: false, error: { code: "body_too_large", maxBytes } };
        default:
          return { ok: false, error: { code: "sandbox_unavailable", reason } };
      }
    } catch {
      return { ok: false, error: { code: "sandbox_unavailable", reason: "The session's sandbox cannot be reached." } };
    }
  };

  return {
    put: (path, body) => change(path, { method: "PUT", body, headers: { "x-max-bytes": String(maxBytes) } }),
    remove: (path) => change(path, { method: "DELETE" }),
  };
}

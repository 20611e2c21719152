import { FRAME, FRAMES_TYPE, readFrames } from "@gantry/protocol/frames.ts";
import { Restored, Scan, SnapshotRefusal } from "@gantry/protocol/snapshot.ts";
import type { ScanRequest } from "@gantry/protocol/snapshot.ts";
import { RUNNER_PORT } from "../sandbox/sandbox.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { hashOf } from "./keys.ts";

/** Why a save or a restore failed. */
export type SnapshotFailure =
  | SnapshotRefusal["error"]
  /** The runner does not answer, or stops in the middle of an answer. */
  | "unreachable"
  /** The runner's data does not match what it announced. */
  | "bad_contents"
  /** This runner does not hold the session. */
  | "not_the_holder";

/** A save or a restore failed because of the sandbox or its contents. */
export class SnapshotFailed extends Error {
  readonly code: SnapshotFailure;
  constructor(code: SnapshotFailure, message: string) {
    super(message);
    this.code = code;
  }
}

/** A scan of 25,000 files takes a second; of a million files on a busy machine, a minute. */
const SCAN_TIMEOUT_MS = 120_000;
/** Largest answer to a scan: the list of transcripts, and new objects if there are few. */
const MAX_AHEAD_BYTES = 16 * 1024 * 1024;
const OBJECTS_TIMEOUT_MS = 60_000;
const RESTORE_TIMEOUT_MS = 900_000;

/** Requests to a runner about a session's folder. No answer is trusted. All methods throw `SnapshotFailed`. */
export interface RunnerFiles {
  /** Scans the folder. `ahead` has the objects sent along with the scan, each under the hash computed here. */
  scan(request: ScanRequest): Promise<{ scan: Scan; ahead: ReadonlyMap<string, Uint8Array> }>;
  /** Objects in the order of `wanted`, each checked against its hash and size. */
  objects(scan: string, wanted: readonly { hash: string; size: number }[]): AsyncGenerator<[string, Uint8Array]>;
  /** Ends a scan. `committed`: it was saved, so the runner need not offer the same objects again. */
  done(scan: string, committed: boolean): Promise<void>;
  /** Fills the session's folder from a stream of `SnapshotReader.stream`. */
  restore(stream: ReadableStream<Uint8Array>): Promise<Restored>;
}

/** The runner behind a sandbox's port. */
export function runnerFiles(sandbox: Pick<Sandbox, "getTcpPort">, sessionId: string): RunnerFiles {
  const ask = async (path: string, body: BodyInit, timeoutMs: number): Promise<Response> => {
    const response = await sandbox
      .getTcpPort(RUNNER_PORT)
      .fetch(`http://runner/sessions/${sessionId}/${path}`, {
        method: "POST",
        body,
        signal: AbortSignal.timeout(timeoutMs),
      })
      .catch((error: unknown) => {
        throw new SnapshotFailed("unreachable", String(error));
      });
    if (response.ok) return response;
    const refusal = SnapshotRefusal.safeParse(await response.json().catch(() => null));
    if (!refusal.success) throw new SnapshotFailed("unreachable", `The runner answered ${response.status}.`);
    throw new SnapshotFailed(refusal.data.error, refusal.data.message);
  };
  return {
    async scan(request) {
      const response = await ask("snapshot", JSON.stringify({ ...request, ahead: true, small: true }), SCAN_TIMEOUT_MS);
      const ahead = new Map<string, Uint8Array>();
      if (response.headers.get("content-type") !== FRAMES_TYPE)
        return { scan: readAs(Scan, await response.json().catch(() => null)), ahead };
      let scan: Scan | null = null;
      let held = 0;
      try {
        for await (const { kind, bytes } of readFrames(response.body ?? new ReadableStream(), MAX_AHEAD_BYTES)) {
          held += bytes.length;
          if (held > MAX_AHEAD_BYTES) throw new SnapshotFailed("bad_contents", "The runner sent too much.");
          const contents = bytes.slice();
          if (kind === FRAME.data) ahead.set(await hashOf(contents), contents);
          else scan = readAs(Scan, jsonOf(contents));
        }
      } catch (error) {
        if (error instanceof SnapshotFailed) throw error;
        throw new SnapshotFailed("unreachable", `The runner broke off: ${String(error)}`);
      }
      return { scan: readAs(Scan, scan), ahead };
    },
    async *objects(scan, wanted) {
      const hashes = wanted.map((object) => object.hash);
      const response = await ask(`snapshot/${scan}/objects`, JSON.stringify({ hashes }), OBJECTS_TIMEOUT_MS);
      let index = 0;
      const largest = Math.max(...wanted.map((object) => object.size));
      try {
        for await (const { kind, bytes } of readFrames(response.body ?? new ReadableStream(), largest)) {
          const expected = wanted[index++];
          if (kind !== FRAME.data || !expected || bytes.length !== expected.size)
            throw new SnapshotFailed("bad_contents", "The runner sent something that it was not asked for.");
          const contents = bytes.slice();
          if ((await hashOf(contents)) !== expected.hash)
            throw new SnapshotFailed("bad_contents", "The runner sent contents that do not match their hash.");
          yield [expected.hash, contents];
        }
      } catch (error) {
        if (error instanceof SnapshotFailed) throw error;
        throw new SnapshotFailed("unreachable", `The runner broke off: ${String(error)}`);
      }
      if (index < wanted.length) throw new SnapshotFailed("unreachable", "The runner did not send everything.");
    },
    async done(scan, committed) {
      await ask(`snapshot/${scan}/done`, JSON.stringify({ committed }), OBJECTS_TIMEOUT_MS);
    },
    async restore(stream) {
      const response = await ask("restore", stream, RESTORE_TIMEOUT_MS);
      return readAs(Restored, await response.json().catch(() => null));
    },
  };
}

/** Parses JSON; null when the bytes are not JSON. */
export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    return null;
  }
}

function readAs<T>(
  schema: { safeParse(value: unknown): { success: true; data: T } | { success: false } },
  value: unknown,
): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new SnapshotFailed("bad_contents", "The runner's answer is unreadable.");
  return parsed.data;
}

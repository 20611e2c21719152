import { FRAME, FRAMES_TYPE, readFrames } from "@gantry/protocol/frames.ts";
import { Restored, Scan, SnapshotRefusal } from "@gantry/protocol/snapshot.ts";
import type { ScanRequest } from "@gantry/protocol/snapshot.ts";
import { RUNNER_PORT } from "../sandbox/sandbox.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { hashOf } from "./keys.ts";

/** Why a save or a restore did not come about. */
export type SnapshotFailure =
  | SnapshotRefusal["error"]
  /** The runner does not answer. */
  | "unreachable"
  /** What the runner sends is not what it says it is. */
  | "bad_contents"
  /** It is not the runner that holds the session. */
  | "not_the_holder";

export class SnapshotFailed extends Error {
  readonly code: SnapshotFailure;
  constructor(code: SnapshotFailure, message: string) {
    super(message);
    this.code = code;
  }
}

/** A look through 25,000 files takes a second, through a million on a busy machine a minute. */
const SCAN_TIMEOUT_MS = 120_000;
/** The answer to a look: the list of transcripts, and new objects as far as they are few. */
const MAX_AHEAD_BYTES = 16 * 1024 * 1024;
const OBJECTS_TIMEOUT_MS = 60_000;
const RESTORE_TIMEOUT_MS = 900_000;

/** What a runner is asked about a session's folder. Nothing it answers is believed. */
export interface RunnerFiles {
  /** What it holds, and what came along of the objects in it, each under the hash that it has. */
  scan(request: ScanRequest): Promise<{ scan: Scan; ahead: ReadonlyMap<string, Uint8Array> }>;
  /** Objects in the order asked for, each checked against its name and size. */
  objects(scan: string, wanted: readonly { hash: string; size: number }[]): AsyncGenerator<[string, Uint8Array]>;
  done(scan: string, committed: boolean): Promise<void>;
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
            throw new SnapshotFailed("bad_contents", "The runner sent something else than it was asked for.");
          const contents = bytes.slice();
          if ((await hashOf(contents)) !== expected.hash)
            throw new SnapshotFailed("bad_contents", "The runner sent contents that do not have their hash.");
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

/** Null for what is no JSON. */
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
  if (!parsed.success) throw new SnapshotFailed("bad_contents", "The runner answered something unreadable.");
  return parsed.data;
}

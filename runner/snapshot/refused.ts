import type { SnapshotRefusal } from "@gantry/protocol/snapshot.ts";

/** A save or restore that cannot be done, with its code for the session. */
export class Refused extends Error {
  readonly code: SnapshotRefusal["error"];
  constructor(code: SnapshotRefusal["error"], message: string) {
    super(message);
    this.code = code;
  }
}

/** The error's code, or its message when it has none. */
export function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}

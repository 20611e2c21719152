import type { SnapshotRefusal } from "@gantry/protocol/snapshot.ts";

/** A refusal with its code. */
export class Refused extends Error {
  readonly code: SnapshotRefusal["error"];
  constructor(code: SnapshotRefusal["error"], message: string) {
    super(message);
    this.code = code;
  }
}

/** What went wrong, in a word. */
export function codeOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}

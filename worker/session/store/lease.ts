import { numberOf, textOf } from "../../storage/sql.ts";
import type { Row, Sql } from "../../storage/sql.ts";

/**
 * Which runner may write to this session and spend for it. Each dial raises the epoch, so that a runner can tell a new
 * link from an old one. The token belongs to one runner: the router refuses an engine of an abandoned runner, and the
 * session refuses its frames.
 */
export class Lease {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** A new epoch, higher than any before. */
  nextEpoch(): number {
    this.#sql.exec("UPDATE session SET epoch = epoch + 1");
    return numberOf(this.#row(), "epoch");
  }

  /** The last frame stored, and the runner that sent it. */
  cursor(): { runnerId: string; frame: number } | null {
    const row = this.#row();
    const runnerId = textOf(row, "runner_id");
    return runnerId === "" ? null : { runnerId, frame: numberOf(row, "frame") };
  }

  /** Hands the session to another runner: its frames count from 1, and the token of the old one is void. */
  moveTo(runnerId: string, token: string): void {
    this.#sql.exec("UPDATE session SET runner_id = ?, frame = 0, token = ?", runnerId, token);
  }

  advance(frame: number): void {
    this.#sql.exec("UPDATE session SET frame = ?", frame);
  }

  /** The engine's token for model calls; null before the first link. */
  token(): string | null {
    return textOf(this.#row(), "token") || null;
  }

  #row(): Row | undefined {
    return this.#sql.exec("SELECT epoch, runner_id, frame, token FROM session").toArray()[0];
  }
}

/** Compares in constant time, so that the duration does not reveal how much matched. */
export function sameText(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  return left.byteLength === right.byteLength && crypto.subtle.timingSafeEqual(left, right);
}

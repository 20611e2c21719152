/** A job of the load generator, and its result. */

export interface Job {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Stands in the last bytes of a good answer. */
  readonly ending: string;
  /** Requests at once; each one is followed by the next when it has been read to its end. */
  readonly atOnce: number;
  /** No more than these are sent, and none after this time. */
  readonly most: number;
  readonly forMs: number;
}

export interface Outcome {
  readonly done: number;
  /** Another status than 200, a broken connection, or an end that is not the one expected. */
  readonly failed: number;
  /** One of the failures, in words. */
  readonly why: string | null;
  readonly wallMs: number;
}

/**
 * The way into the runner for everything that nobody awaits: requests, timers, events and promises that are let go. One
 * session's failure there must not end the process that all sessions share. `npm run check` forbids other ways in
 * (`scripts/entries.ts`).
 */

type Log = (entry: Record<string, unknown>) => void;

let log: Log = (entry) => void process.stderr.write(`${JSON.stringify(entry)}\n`);

/** Chooses the log that failures go to. Standard error until then. */
export function logFailuresTo(to: Log): void {
  log = to;
}

/**
 * Does work that nobody awaits, and logs its failure as `guarded_failure`. Never throws or rejects.
 *
 * @param where names the kind of work in the log.
 * @param onFailure repairs what a failure leaves behind: answers the request, or ends the run.
 */
export function guard(where: string, work: () => unknown, onFailure?: (error: unknown) => void): void {
  const fail = (error: unknown): void => {
    report(where, error);
    try {
      onFailure?.(error);
    } catch (second) {
      report(`${where}, repair`, second);
    }
  };
  try {
    const result = work();
    if (result instanceof Promise) result.catch(fail);
  } catch (error) {
    fail(error);
  }
}

/** A listener or callback whose failure is logged. */
export function guarded<Args extends unknown[]>(
  where: string,
  work: (...args: Args) => unknown,
  onFailure?: (error: unknown) => void,
): (...args: Args) => void {
  return (...args) => guard(where, () => work(...args), onFailure);
}

/** `setTimeout`, guarded. */
export function after(where: string, ms: number, work: () => unknown): NodeJS.Timeout {
  return setTimeout(guarded(where, work), ms);
}

/** `setInterval`, guarded: a failure does not end the series. */
export function every(where: string, ms: number, work: () => unknown): NodeJS.Timeout {
  return setInterval(guarded(where, work), ms);
}

/** `setImmediate`, guarded. */
export function soon(where: string, work: () => unknown): void {
  setImmediate(guarded(where, work));
}

/**
 * Whether the process may go on after an exception that reached no handler: an operation on a file, pipe or socket failed,
 * which leaves nothing of ours half changed. After any other exception the state is unknown.
 */
export function isSafeToGoOn(error: unknown): boolean {
  const { syscall, code } = (error ?? {}) as { syscall?: unknown; code?: unknown };
  return typeof syscall === "string" || (typeof code === "string" && /^(ERR_STREAM|ERR_HTTP|HPE|WS_ERR)_/.test(code));
}

function report(where: string, error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log({ event: "guarded_failure", where, error: text.slice(0, 2000) });
}

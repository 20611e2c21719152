/** What an id names. The prefix is part of the id, so a log line or an error tells what it is about. */
export type IdKind =
  | "session"
  | "event"
  | "run"
  | "request"
  | "runner"
  | "agent"
  | "environment"
  | "file"
  | "key"
  | "thread"
  | "resource"
  | "template"
  | "vault"
  | "credential"
  | "snapshot"
  | "work";

const PREFIX = {
  session: "sesn_",
  event: "sevt_",
  run: "run_",
  request: "req_",
  runner: "rnr_",
  agent: "agent_",
  environment: "env_",
  file: "file_",
  key: "key_",
  thread: "sthr_",
  resource: "sesrsc_",
  template: "tmpl_",
  vault: "vlt_",
  credential: "vcrd_",
  snapshot: "snap_",
  work: "work_",
} as const;

/** Crockford base32: no letters that are mistaken for digits, safe in URLs, file names and Durable Object names. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * A new id: prefix, 10 characters of time (so that ids sort by age) and 26 characters that hold 128 random bits
 * (so that nobody guesses one).
 */
export function newId(kind: IdKind, nowMs: number = Date.now()): string {
  return toId(kind, nowMs, crypto.getRandomValues(new Uint8Array(26)));
}

/** The id that follows from a time and at least 26 bytes: for things that must be found again when they are made again. */
export function toId(kind: IdKind, ms: number, bytes: Uint8Array): string {
  let time = "";
  for (let rest = ms, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) time = ALPHABET.charAt(rest % 32) + time;
  let random = "";
  for (const byte of bytes.subarray(0, 26)) random += ALPHABET.charAt(byte & 31);
  return PREFIX[kind] + time + random;
}

const SHAPE = /^[0-9a-hjkmnp-tv-z]{36}$/;

/** Whether `text` has the form of an id of that kind. Says nothing about whether the thing exists. */
export function isId(kind: IdKind, text: string): boolean {
  return text.startsWith(PREFIX[kind]) && SHAPE.test(text.slice(PREFIX[kind].length));
}

/**
 * Id of the engine's own conversation in a session: a uuid that follows from the session's id, so that an engine can be
 * started before the session is made. (Sessions keep theirs; those of earlier versions have another.)
 */
export function engineSessionIdOf(sessionId: string): string {
  const letters = sessionId.slice(-26);
  let bits = 0n;
  for (const letter of letters) bits = (bits << 5n) | BigInt(Math.max(0, ALPHABET.indexOf(letter)));
  const hex = (bits & ((1n << 128n) - 1n)).toString(16).padStart(32, "0");
  // Version 4, variant 1: what says that a uuid is of random bits, as these are.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** A session's token for the router: it names the session, so that only that one is asked whether it is true. */
export function engineToken(sessionId: string): string {
  return `gst_${sessionId}.${newId("request").slice(4)}`;
}

/** Whether `text` has the form of a token of that session. */
export function isEngineToken(sessionId: string, text: string | undefined): text is string {
  const prefix = `gst_${sessionId}.`;
  return text !== undefined && text.startsWith(prefix) && SHAPE.test(text.slice(prefix.length));
}

/** The thread a session begins with. It is not stored anywhere: a session and its primary thread share their number. */
export function primaryThreadId(sessionId: string): string {
  return PREFIX.thread + sessionId.slice(PREFIX.session.length);
}

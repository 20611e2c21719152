/** The kind of object that an id names. Each kind has a prefix, so a bare id in a log or an error explains itself. */
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

/** Crockford base32: no letters that look like digits; safe in URLs, file names and Durable Object names. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/**
 * A new id: the prefix, 10 characters for the time, so that ids sort by age, and 26 characters with at least 128
 * random bits, so that ids cannot be guessed.
 */
export function newId(kind: IdKind, nowMs: number = Date.now()): string {
  return toId(kind, nowMs, crypto.getRandomValues(new Uint8Array(26)));
}

/** The id derived from a time and at least 26 bytes. A repeated request derives the same id and finds what it created. */
export function toId(kind: IdKind, ms: number, bytes: Uint8Array): string {
  let time = "";
  for (let rest = ms, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) time = ALPHABET.charAt(rest % 32) + time;
  let random = "";
  for (const byte of bytes.subarray(0, 26)) random += ALPHABET.charAt(byte & 31);
  return PREFIX[kind] + time + random;
}

const SHAPE = /^[0-9a-hjkmnp-tv-z]{36}$/;

/** Whether `text` has the form of an id of this kind. It does not check that the object exists. */
export function isId(kind: IdKind, text: string): boolean {
  return text.startsWith(PREFIX[kind]) && SHAPE.test(text.slice(PREFIX[kind].length));
}

/**
 * Id of the engine's conversation in a session: a UUID derived from the session's id, so that an engine can start before
 * its session is created. A session stores its UUID; sessions of earlier versions have a different one.
 */
export function engineSessionIdOf(sessionId: string): string {
  const letters = sessionId.slice(-26);
  let bits = 0n;
  for (const letter of letters) bits = (bits << 5n) | BigInt(Math.max(0, ALPHABET.indexOf(letter)));
  const hex = (bits & ((1n << 128n) - 1n)).toString(16).padStart(32, "0");
  // Version 4, variant 1 mark a UUID of random bits.
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

/** A new token that a session's engine shows the router. It names the session, which alone can verify it. */
export function engineToken(sessionId: string): string {
  return `gst_${sessionId}.${newId("request").slice(4)}`;
}

/** Whether `text` has the form of a token of this session. */
export function isEngineToken(sessionId: string, text: string | undefined): text is string {
  const prefix = `gst_${sessionId}.`;
  return text !== undefined && text.startsWith(prefix) && SHAPE.test(text.slice(prefix.length));
}

/** Id of a session's primary thread. It is derived, not stored: both ids are the same after the prefix. */
export function primaryThreadId(sessionId: string): string {
  return PREFIX.thread + sessionId.slice(PREFIX.session.length);
}

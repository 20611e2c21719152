import { describe, expect, it } from "vitest";
import { engineSessionIdOf, engineToken, isEngineToken, isId, newId } from "./ids.ts";
import type { IdKind } from "./ids.ts";

const KINDS: readonly IdKind[] = [
  "session",
  "event",
  "run",
  "request",
  "runner",
  "agent",
  "environment",
  "file",
  "key",
  "thread",
  "vault",
  "credential",
];

describe("newId", () => {
  it.each(KINDS)("makes a %s id that is not an id of any other kind", (kind) => {
    const id = newId(kind);
    expect(isId(kind, id)).toBe(true);
    for (const other of KINDS) if (other !== kind) expect(isId(other, id)).toBe(false);
  });

  it("sorts by age", () => {
    const times = [0, 1, 31, 32, 1_000, 1_795_226_305_859, 1_795_226_305_860, 2 ** 45];
    const ids = times.map((time) => newId("event", time));
    expect(ids.toSorted()).toEqual(ids);
  });

  it("never makes the same id twice, even within one millisecond", () => {
    const ids = Array.from({ length: 5_000 }, () => newId("run", 1_795_226_305_859));
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("uses every character of its alphabet and no other", () => {
    const letters = new Set(Array.from({ length: 500 }, () => newId("request").slice(4 + 10)).join(""));
    expect([...letters].toSorted().join("")).toBe("0123456789abcdefghjkmnpqrstvwxyz");
  });
});

describe("isId", () => {
  const good = newId("session");
  const body = good.slice("sesn_".length);
  it.each([
    ["nothing", ""],
    ["the prefix alone", "sesn_"],
    ["no prefix", body],
    ["another prefix", `run_${body}`],
    ["one character short", good.slice(0, -1)],
    ["one character long", `${good}0`],
    ["a capital", `sesn_${body.slice(0, -1)}A`],
    ["a letter outside the alphabet", `sesn_${body.slice(0, -1)}u`],
    ["a trailing line break", `${good}\n`],
    ["a leading space", ` ${good}`],
    ["a path", `sesn_../../../etc/passwd`],
    ["a path of the right length", `sesn_${"../".repeat(12)}`],
    ["a null byte", `${good}\0`],
    ["a character of two bytes", `sesn_${body.slice(0, -1)}é`],
  ])("refuses %s", (_name, text) => {
    expect(isId("session", text)).toBe(false);
  });
});

describe("an engine's conversation and token", () => {
  it("has a UUID derived from the session's id", () => {
    const ids = Array.from({ length: 200 }, () => newId("session"));
    const uuids = ids.map((id) => engineSessionIdOf(id));
    expect(new Set(uuids).size).toBe(ids.length);
    for (const uuid of uuids) expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(engineSessionIdOf(ids[0] ?? "")).toBe(uuids[0]);
  });

  it("has a token that names its session and fits no other", () => {
    const [one, two] = [newId("session"), newId("session")];
    const token = engineToken(one);
    expect(isEngineToken(one, token)).toBe(true);
    expect(engineToken(one)).not.toBe(token);
    for (const other of [token.slice(0, -1), `${token}a`, token.replace(one, two), `gst_${one}.`, one, ""])
      expect(isEngineToken(one, other)).toBe(false);
    expect(isEngineToken(two, token)).toBe(false);
  });
});

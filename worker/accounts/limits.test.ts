import { RequestRefused } from "@gantry/protocol/error.ts";
import { describe, expect, it } from "vitest";
import { OpenSlots, holding, take } from "./limits.ts";

const LIMIT = { what: "things", perAccount: 4, perSession: 2, bytesPerAccount: 100, retryAfter: 7, forMs: 1_000 };
const refusal = (call: () => unknown): unknown => {
  try {
    return call();
  } catch (error) {
    return error instanceof RequestRefused ? error.error : error;
  }
};

describe("what an account may have open", () => {
  it("sec/M2 has an end, for the account and for a session, and others notice nothing", () => {
    const open = new OpenSlots(LIMIT);
    const first = open.take({ account: "a", sessionId: "s" });
    open.take({ account: "a", sessionId: "s" });
    expect(refusal(() => open.take({ account: "a", sessionId: "s" }))).toEqual({
      code: "too_many_at_once",
      what: "things",
      max: 2,
      of: "session",
      retryAfter: 7,
    });
    open.take({ account: "a", sessionId: "t" });
    open.take({ account: "a" });
    expect(refusal(() => open.take({ account: "a" }))).toMatchObject({
      code: "too_many_at_once",
      max: 4,
      of: "account",
    });
    open.take({ account: "b" });
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    open.take({ account: "a", sessionId: "s" });
    expect(refusal(() => open.take({ account: "a" }))).toMatchObject({ code: "too_many_at_once" });
  });

  it("sec/M2 has an end in bytes, and one large request is allowed", () => {
    const open = new OpenSlots(LIMIT);
    const large = open.take({ account: "a", bytes: 500 });
    expect(refusal(() => open.take({ account: "a", bytes: 1 }))).toMatchObject({ code: "too_many_at_once" });
    open.take({ account: "a" });
    large[Symbol.dispose]();
    open.take({ account: "a", bytes: 99 });
  });

  it("sec/M2 is free again when its holder was ended without a word", () => {
    let now = 0;
    const open = new OpenSlots(LIMIT, () => now);
    for (let index = 0; index < 4; index++) open.take({ account: "a" });
    now = 1_001;
    for (let index = 0; index < 4; index++) open.take({ account: "a" });
    expect(refusal(() => open.take({ account: "a" }))).toMatchObject({ code: "too_many_at_once" });
  });

  it("sec/H5 is one diff", () => {
    using _first = take("diff", { account: "a" });
    expect(refusal(() => take("diff", { account: "a" }))).toMatchObject({ code: "too_many_at_once", retryAfter: 2 });
    using _other = take("diff", { account: "b" });
  });
});

describe("a stream that holds a place", () => {
  const bytes = (): ReadableStream<Uint8Array> => new Blob(["hello"]).stream();
  const taken = () => {
    let count = 0;
    return { place: { [Symbol.dispose]: () => void (count += 1) }, count: () => count };
  };

  it("sec/H5 gives it back at its end, when it is cancelled, and when it fails", async () => {
    const [end, cancelled, failed] = [taken(), taken(), taken()];
    expect(await new Response(holding(bytes(), end.place)).text()).toBe("hello");
    await holding(bytes(), cancelled.place).cancel();
    const broken = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(new Error("broken")) });
    await expect(new Response(holding(broken, failed.place)).text()).rejects.toThrow("broken");
    expect([end.count(), cancelled.count(), failed.count()]).toEqual([1, 1, 1]);
  });
});

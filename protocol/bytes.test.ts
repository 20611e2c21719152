import fc from "fast-check";
import { expect, it } from "vitest";
import { fromBase64Url, fromHex, joined, toBase64Url, toHex } from "./bytes.ts";

it("survive a round trip", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(fromHex(toHex(bytes))).toEqual(bytes);
      expect(fromBase64Url(toBase64Url(bytes))).toEqual(bytes);
      expect(toBase64Url(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
      expect(fromBase64Url(Buffer.from(bytes).toString("base64"))).toEqual(bytes);
    }),
  );
});

it("may be many, and part of a larger buffer", () => {
  const bytes = new Uint8Array(300_001).fill(250).subarray(1);
  expect(toBase64Url(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
  expect(toHex(bytes.subarray(0, 2))).toBe("fafa");
});

it("are joined in order", () => {
  expect(joined([new Uint8Array([1, 2]), new Uint8Array(), new Uint8Array([3])])).toEqual(new Uint8Array([1, 2, 3]));
  expect(joined([])).toEqual(new Uint8Array());
});

import { describe, expect, it } from "vitest";
import { JsonExceeds, MAX_JSON_DEPTH, MAX_JSON_VALUES, jsonExcess, parseJsonWithin } from "./json-limits.ts";

const nested = (levels: number): string => `${'{"a":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}`;

describe("JSON from outside", () => {
  it("sec/H1 may be nested 64 levels deep, and no deeper", () => {
    expect(parseJsonWithin(nested(MAX_JSON_DEPTH))).toBeTypeOf("object");
    expect(() => parseJsonWithin(nested(MAX_JSON_DEPTH + 1))).toThrow("nested deeper than 64 levels");
    expect(() => parseJsonWithin(`${"[".repeat(65)}${"]".repeat(65)}`)).toThrow(JsonExceeds);
  });

  it("sec/H1 is checked without recursion, however deep it is", () => {
    expect(() => parseJsonWithin(nested(1_000_000))).toThrow("nested deeper than 64 levels");
  });

  it("sec/H1 may contain a million values", () => {
    expect(jsonExcess(Array.from({ length: MAX_JSON_VALUES }, () => 0))).toContain("values");
    expect(jsonExcess(Array.from({ length: 1000 }, () => "x".repeat(1000)))).toBeNull();
  });

  it.each(["1", "null", '"x"', "[]", "{}"])("takes %s as it is", (text) => {
    expect(parseJsonWithin(text)).toEqual(JSON.parse(text));
  });
});

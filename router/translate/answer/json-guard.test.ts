import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JsonGuard, MALFORMED, toolInput } from "./json-guard.ts";

function guarded(pieces: readonly string[]): string {
  const guard = new JsonGuard();
  return pieces.map((piece) => guard.push(piece)).join("") + guard.end();
}

const rows: readonly [title: string, args: string, input: unknown][] = [
  ["an object", '{"path": "a.txt", "n": [1, 2.5e3, -0]}', { path: "a.txt", n: [1, 2500, -0] }],
  ["nothing", "", {}],
  ["white space", " \n", {}],
  ["null", "null", {}],
  ["an empty object", " { } ", {}],
  ["an empty object before the real one", '{}{"a":1}', { a: 1 }],
  ["the same object twice", '{"a":1}{"a":1}', { a: 1 }],
  ["a JSON string that contains an object", '"{\\"a\\":1}"', { a: 1 }],
  ["raw line breaks and tabs in a string", '{"a":"x\n\ty"}', { a: "x\n\ty" }],
  ["an escape that JSON does not have", '{"re":"\\d+"}', { re: "\\d+" }],
  ["a broken unicode escape", '{"a":"\\u12"}', { a: "\\u12" }],
  ["trailing commas", '{"a":[1,2,],"b":{"c":1,},}', { a: [1, 2], b: { c: 1 } }],
  ["Python's literals", '{"a":True,"b":False,"c":None}', { a: true, b: false, c: null }],
  ["numbers that JSON does not allow", '{"a":1.,"b":.5,"c":007,"d":NaN}', { a: 1, b: 0.5, c: 7, d: null }],
  ["a string cut in half", '{"a":"x', { a: "x", [MALFORMED]: true }],
  ["a key cut in half", '{"a":1,"b', { a: 1, b: null, [MALFORMED]: true }],
  ["cut after a colon", '{"a":', { a: null, [MALFORMED]: true }],
  ["cut after a comma", '{"a":[1,', { a: [1], [MALFORMED]: true }],
  ["cut in a number", '{"a":[1,-', { a: [1, null], [MALFORMED]: true }],
  ["cut in a nested object", '{"a":[{', { a: [{}], [MALFORMED]: true }],
  ["single quotes", "{'a':1}", { [MALFORMED]: true }],
  ["no JSON at all", "not json", { [MALFORMED]: "not json" }],
  ["an array", "[1]", { [MALFORMED]: "[1]" }],
  ["garbage as a value", '{"a":@}', { a: null, [MALFORMED]: true }],
  ["garbage in a list", '{"a":[1,@]}', { a: [1, null], [MALFORMED]: true }],
  ["garbage after a value", '{"a":1 @ "b":2}', { a: 1, [MALFORMED]: true }],
];

describe("arguments become one object", () => {
  test.each(rows)("%s", (_title, args, input) => {
    expect(JSON.parse(guarded([args]))).toEqual(input);
    expect(JSON.parse(guarded(Array.from(args)))).toEqual(input);
    expect(toolInput(args)).toEqual(input);
  });

  test("valid JSON passes through untouched, in any pieces", () => {
    const object = fc.dictionary(fc.string({ minLength: 1 }), fc.jsonValue(), { minKeys: 1 });
    fc.assert(
      fc.property(object, fc.nat({ max: 9 }), (value, size) => {
        const text = JSON.stringify(value, null, size % 3);
        const step = size + 1;
        const pieces = Array.from({ length: Math.ceil(text.length / step) }, (_, i) =>
          text.slice(i * step, (i + 1) * step),
        );
        expect(guarded(pieces)).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  test("any text becomes an object, cut into any pieces", () => {
    const alphabet = fc.constantFrom(...Array.from("{}[]:,\"\\'abtrue1-.eu0 \n"));
    fc.assert(
      fc.property(fc.array(alphabet, { maxLength: 40 }), (chars) => {
        const whole = guarded([chars.join("")]);
        expect(JSON.parse(whole)).toBeTypeOf("object");
        expect(guarded(chars)).toBe(whole);
      }),
      { numRuns: 2000 },
    );
  });

  test("a call cut by the token limit stays open, as Anthropic shows it", () => {
    const guard = new JsonGuard();
    expect(guard.push('{"content":"half of')).toBe('{"content":"half of');
    expect(guard.end({ cut: true })).toBe("");
  });
});

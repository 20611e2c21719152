import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { skim, splice, valueAt } from "./skim.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a skim says, its values read. */
function read(text: string): Record<string, unknown> | undefined {
  const raw = encode(text);
  const members = skim(raw);
  return members && Object.fromEntries([...members].map(([name, span]) => [name, valueAt(raw, span)]));
}

describe("members", () => {
  test.each<[text: string, members: Record<string, unknown>]>([
    ["{}", {}],
    [" { } \n", {}],
    ['{"a":1}', { a: 1 }],
    ['\t{ "a" : -1e2 , "b":true,"c":null}\r\n', { a: -100, b: true, c: null }],
    [String.raw`{"a":"\\","b":"\"","c":"}{][\\\""}`, { a: "\\", b: '"', c: '}{][\\"' }],
    ['{"a":{"a":[{"a":"]}"}]},"b":[[],{}]}', { a: { a: [{ a: "]}" }] }, b: [[], {}] }],
    ['{"é":"漢 😀","":0}', { é: "漢 😀", "": 0 }],
  ])("of %j", (text, members) => {
    expect(read(text)).toEqual(members);
  });

  test.each<[why: string, text: string]>([
    ["nothing", ""],
    ["a list", "[]"],
    ["a string", '"{}"'],
    ["two values", "{}{}"],
    ["a byte order mark first", "\uFEFF{}"],
    ["a name that is not a string", "{a:1}"],
    ["a name without a value", '{"a"}'],
    ["a value that is missing", '{"a":,"b":1}'],
    ["a value that is missing at the end", '{"a":'],
    ["a comma at the end", '{"a":1,}'],
    ["a missing comma", '{"a":1 "b":2}'],
    ["an object that does not end", '{"a":{"b":1}'],
    ["a string that does not end", '{"a":"b}'],
    ["a duplicate name", '{"a":1,"a":2}'],
    ["a name with an escape", String.raw`{"\u0061":1}`],
  ])("are undefined for %s", (_, text) => {
    expect(skim(encode(text))).toBeUndefined();
  });

  test("are those that a parser finds, in any layout", () => {
    const layout = fc.constantFrom(undefined, 1, 3, "\t", " \n\r");
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), layout, (value, space) => {
        const text = JSON.stringify(value, null, space);
        const found = read(text);
        if (Object.keys(value).some((name) => JSON.stringify(name) !== `"${name}"`)) return;
        expect(found).toEqual(JSON.parse(text));
      }),
    );
  });

  test("are those that a parser finds, with quotes and backslashes anywhere in a string", () => {
    const unit = fc.constantFrom('"', "\\", "a", "é");
    const text = fc.tuple(fc.integer({ min: 0, max: 100 }), fc.string({ unit, maxLength: 60 }));
    fc.assert(
      fc.property(text, ([plain, quoted]) => {
        const value = {
          first: "x".repeat(plain) + quoted,
          nested: [{ [quoted]: quoted + "x".repeat(plain) }],
          last: 1,
        };
        expect(read(JSON.stringify(value))).toEqual(value);
      }),
      { numRuns: 1000 },
    );
  });

  test("never differ from a parser's, in damaged text too", () => {
    const marks = fc.constantFrom("{", "}", "[", "]", '"', ",", ":", "\\", " ", "\n", "a", "1", "\u0000", "é");
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(2), marks), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.dictionary(fc.string({ maxLength: 3 }), fc.jsonValue({ maxDepth: 2 })), damage, (value, edits) => {
        let text = JSON.stringify(value);
        for (const [at, removed, added] of edits) {
          const index = at % (text.length + 1);
          text = text.slice(0, index) + added + text.slice(index + removed);
        }
        const found = read(text);
        let parsed: unknown;
        try {
          parsed = JSON.parse(text);
        } catch {
          return;
        }
        if (found !== undefined) expect(found).toEqual(parsed);
      }),
      { numRuns: 2000 },
    );
  });
});

test("a splice changes a value and nothing else", () => {
  const raw = encode('{ "x":"é", "model" : "old" , "y":[1] }');
  const span = skim(raw)?.get("model") ?? [0, 0];
  for (const by of ['"a"', '"a longer one"', "1"])
    expect(new TextDecoder().decode(splice(raw, span, encode(by)))).toBe(`{ "x":"é", "model" : ${by} , "y":[1] }`);
});

import { describe, expect, test } from "vitest";
import { estimateTokens, textTokens } from "./count.ts";

/** Texts with the greater of the counts of OpenAI's cl100k and o200k. */
const rows: readonly [what: string, text: string, tokens: number][] = [
  ["prose", "The quick brown fox jumps over the lazy dog, and nobody in the village was surprised. ".repeat(20), 361],
  [
    "code",
    "export function toParts(block: Json, dialect: Dialect): ChatPart[] {\n  return block.items.map((item) => item.value);\n}\n".repeat(
      20,
    ),
    600,
  ],
  [
    "JSON",
    '{"id":"evt_1","type":"agent.message","seq":42,"content":[{"type":"text","text":"Hello"}]}\n'.repeat(20),
    560,
  ],
  ["Chinese", "今天天气很好，我们去公园散步吧。人工智能正在改变世界。".repeat(20), 640],
  ["hex", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n".repeat(20), 880],
];

describe("an estimate errs upwards, and not by much", () => {
  test.each(rows)("%s", (_what, text, tokens) => {
    expect(textTokens(text)).toBeGreaterThanOrEqual(tokens);
    expect(textTokens(text)).toBeLessThan(tokens * 1.6);
  });

  test("system, messages, tools, images and documents all count", () => {
    const body = { model: "m", messages: [{ role: "user", content: "Hi" }] };
    const base = estimateTokens(body);
    const more = (fields: object): number => estimateTokens({ ...body, ...fields }) - base;
    const words = "word ".repeat(100);
    expect(more({ system: words })).toBeGreaterThanOrEqual(100);
    expect(more({ system: [{ type: "text", text: words }] })).toBeGreaterThanOrEqual(100);
    expect(more({ tools: [{ name: "T", description: words, input_schema: {} }] })).toBeGreaterThanOrEqual(110);
    const content = (block: object): object => ({ messages: [{ role: "user", content: [block] }] });
    expect(more(content({ type: "image", source: {} }))).toBeGreaterThan(1500);
    expect(more(content({ type: "tool_result", content: [{ type: "text", text: words }] }))).toBeGreaterThanOrEqual(
      100,
    );
    expect(more(content({ type: "tool_use", name: "T", input: { text: words } }))).toBeGreaterThanOrEqual(100);
    const pdf = { type: "document", source: { type: "base64", data: "A".repeat(200_000) } };
    expect(more(content(pdf))).toBeGreaterThan(5000);
  });
});

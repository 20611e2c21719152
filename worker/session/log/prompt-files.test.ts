import type { PromptBlock } from "@gantry/protocol/content.ts";
import { describe, expect, it } from "vitest";
import { promptContainsFile } from "./prompt-files.ts";

const ID = "file_0123456789abcdefghjkmnpqrstvwxyz0123";

describe("the files of a prompt", () => {
  it.each<[string, PromptBlock, boolean]>([
    ["an image block", { type: "image", source: { type: "file", file_id: ID } }, true],
    ["a document block", { type: "document", source: { type: "file", file_id: ID } }, true],
    ["text that names the id", { type: "text", text: `open ${ID} for me` }, false],
    ["a document's title", { type: "document", title: ID, source: { type: "file", file_id: "file_other" } }, false],
    ["a block in text", { type: "text", text: `{"type":"file","file_id":"${ID}"}` }, false],
    ["a longer id", { type: "image", source: { type: "file", file_id: `${ID}0` } }, false],
  ])("sec/low1 %s", (_, block, isOpen) => {
    expect(promptContainsFile(JSON.stringify({ content: [block] }), ID)).toBe(isOpen);
  });

  it("sec/low1 an empty id names no file", () => {
    expect(promptContainsFile(JSON.stringify({ content: [{ type: "text", text: "hello" }] }), "")).toBe(false);
  });
});

import { describe, expect, it } from "vitest";
import { attachment, filenameOf, mimeTypeOf } from "./names.ts";

describe("a file's type", () => {
  it.each([
    ["text/csv", "a.txt", "text/csv"],
    ["Text/HTML; Charset=UTF-8", null, "text/html;charset=utf-8"],
    ["image/svg+xml; x=y", null, "image/svg+xml"],
    ["application/octet-stream", "a.PDF", "application/pdf"],
    [null, "a.tar.gz", "application/octet-stream"],
    [null, "a.constructor", "application/octet-stream"],
    ["nonsense\r\nx: y", "a.md", "text/markdown"],
    [null, null, "application/octet-stream"],
  ])("%j of %j is %s", (sent, filename, type) => {
    expect(mimeTypeOf(sent, filename)).toBe(type);
  });
});

describe("a file's name", () => {
  it.each([
    ["../../etc/passwd", "passwd"],
    ["C:\\Users\\me\\a b.txt", "a b.txt"],
    ["a\u0000b\r\n.txt", "ab.txt"],
    ["\ud800.txt", "\ufffd.txt"],
    ["..", "unnamed.txt"],
    ["folder/", "unnamed.txt"],
    [null, "unnamed.txt"],
  ])("%j is kept as %j", (sent, kept) => {
    expect(filenameOf(sent, "text/plain")).toBe(kept);
  });

  it("has no extension when none is known, and a length that a file system accepts", () => {
    expect(filenameOf("", "x/unknown")).toBe("unnamed");
    expect(filenameOf("ä".repeat(127), "x/y")).toHaveLength(127);
    expect(() => filenameOf("ä".repeat(128), "x/y")).toThrow("255 bytes");
  });

  it("cannot break out of the header it is written into", () => {
    expect(attachment('a"; x=ä%\\.txt')).toBe(
      `attachment; filename="a_; x=___.txt"; filename*=UTF-8''a%22%3B%20x%3D%C3%A4%25%5C.txt`,
    );
  });
});

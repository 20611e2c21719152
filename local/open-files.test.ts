import { expect, it } from "vitest";
import { ENOUGH_FILES, openFileLimit, openFilesWarning } from "./open-files.ts";

it("sec/H3 a low limit of open files is warned of, with the number of connections that it holds", () => {
  expect(openFilesWarning(1024)).toMatch(/1024 open files.*512 connections/);
  for (const enough of [ENOUGH_FILES, Infinity, null]) expect(openFilesWarning(enough)).toBeNull();
});

it("sec/H3 the limit of this machine is known", () => {
  expect(openFileLimit()).toBeGreaterThan(0);
});

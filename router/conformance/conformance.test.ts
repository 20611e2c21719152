/** Runs the conformance table. `node router/conformance/score.ts` prints it with the score. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OpenAiServer, startOpenAiServer } from "../testing/openai-server.ts";
import { casesOf, runRow } from "./case.ts";
import { rows } from "./rows.ts";

let server: OpenAiServer;
beforeAll(async () => {
  server = await startOpenAiServer();
});
afterAll(() => server.close());

test("all forty cases are in the table", () => {
  const ids = new Set(casesOf(rows).keys());
  expect(Array.from({ length: 40 }, (_, i) => String(i + 1)).filter((id) => !ids.has(id))).toEqual([]);
});

describe("conformance", () => {
  test.each(rows)("$id: $title", (row) => runRow(row, server));
});

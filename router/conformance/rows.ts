/** The whole table, in the order of its numbers. */
import { blockRows } from "./block-cases.ts";
import type { Row } from "./case.ts";
import { errorRows } from "./error-cases.ts";
import { parameterRows } from "./parameter-cases.ts";
import { requestRows } from "./request-cases.ts";
import { streamRows } from "./stream-cases.ts";
import { timeRows } from "./time-cases.ts";

function place(row: Row): number {
  const number = Number.parseInt(row.id, 10);
  return Number.isNaN(number) ? Number.POSITIVE_INFINITY : number;
}

export const rows: readonly Row[] = [
  ...blockRows,
  ...streamRows,
  ...errorRows,
  ...requestRows,
  ...parameterRows,
  ...timeRows,
].toSorted((a, b) => (place(a) === place(b) ? 0 : place(a) - place(b)));

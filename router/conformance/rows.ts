/** The whole table, in order of the case numbers. */
import { blockRows } from "./block-cases.ts";
import type { Row } from "./case.ts";
import { errorRows } from "./error-cases.ts";
import { parameterRows } from "./parameter-cases.ts";
import { requestRows } from "./request-cases.ts";
import { streamRows } from "./stream-cases.ts";
import { timeRows } from "./time-cases.ts";

function positionOf(row: Row): number {
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
].toSorted((a, b) => (positionOf(a) === positionOf(b) ? 0 : positionOf(a) - positionOf(b)));

/** Summary of a row's measurements: the median, and the spread. */
export interface Summary {
  readonly n: number;
  readonly median: number;
  readonly min: number;
  readonly p90: number;
}

/** Throws on no values: a row without measurements must not be printed as one. */
export function summarize(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    if (value === undefined) throw new Error("nothing was measured");
    return value;
  };
  const middle = sorted.length % 2 === 1 ? at(0.5) : ((sorted[sorted.length / 2 - 1] ?? 0) + at(0.5)) / 2;
  return { n: sorted.length, median: middle, min: at(0), p90: at(0.9) };
}

/** `40.1 [32.0..58.3]` */
export function withSpread(summary: Summary, digits = 0): string {
  return `${summary.median.toFixed(digits)} [${summary.min.toFixed(digits)}..${summary.p90.toFixed(digits)}]`;
}

/** Paired difference: the median, and its 90 % confidence interval. */
export interface Difference {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

const RESAMPLES = 2_000;

/**
 * How much more `these` are than `those`, pair by pair: a slow minute of the machine affects both sides of a pair. The bounds
 * come from resampling the pairs (bootstrap).
 */
export function differenceOf(these: readonly number[], those: readonly number[]): Difference {
  const differences = these.map((value, index) => value - (those[index] ?? Number.NaN));
  const drawn = Array.from({ length: RESAMPLES }, () =>
    summarize(differences.map(() => differences[Math.floor(Math.random() * differences.length)] ?? Number.NaN)),
  );
  const medians = drawn.map(({ median }) => median).toSorted((a, b) => a - b);
  const at = (share: number): number => medians[Math.floor(share * RESAMPLES)] ?? Number.NaN;
  return { median: summarize(differences).median, low: at(0.05), high: at(0.95) };
}

/** The same things in another order each round, so that none always comes first, or always after the same other. */
export function rotate<T>(items: readonly T[], round: number): T[] {
  const start = round % items.length;
  const turned = [...items.slice(start), ...items.slice(0, start)];
  return Math.floor(round / items.length) % 2 === 1 ? turned.reverse() : turned;
}

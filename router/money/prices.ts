/**
 * What tokens cost. A price that is neither in this table nor in the configuration is unknown, and then the cost is null,
 * never 0. The table has list prices only, without discounts or batch prices; `tiers.ts` has surcharges.
 */
import type { Usage } from "../base/usage.ts";
import type { ConfiguredPrice } from "../routes/route-entry.ts";

/** The day the table below was last compared with the providers' price lists. Every usage record contains it. */
export const PRICES_VERSION = "2026-11-21";

/** US dollars per token. */
export interface Price {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  /** For a cache of five minutes, or of whatever time the provider uses. */
  readonly cacheWrite: number;
  readonly cacheWriteHour: number;
  /** `PRICES_VERSION` or `config`. */
  readonly version: string;
}

interface Row {
  readonly provider: string;
  readonly model: RegExp;
  /** US dollars per million tokens, as in price lists. */
  readonly input: number;
  readonly output: number;
  readonly cacheRead?: number;
  readonly cacheWrite?: number;
  readonly cacheWriteHour?: number;
  /** First day of the price, as far as it is known. */
  readonly since: string;
}

/** Anthropic's rule: a cache write costs 1.25 times the input price, or twice for an hour; a read costs about a tenth. */
function claude(model: RegExp, input: number, output: number, cacheRead: number, since: string): Row {
  return {
    provider: "anthropic",
    model,
    input,
    output,
    cacheRead,
    cacheWrite: input * 1.25,
    cacheWriteHour: input * 2,
    since,
  };
}

/** The first match wins. claude-haiku-5-5 is missing because its price depends on the length of the prompt. */
const TABLE: readonly Row[] = [
  claude(/^claude-(?:fable|mythos)-5-1$/, 10, 50, 0.25, "2026-06-01"),
  claude(/^claude-(?:fable|mythos)-5$/, 10, 50, 1, "2026-01-01"),
  claude(/^claude-opus-5-5$/, 4, 20, 0.2, "2026-09-01"),
  claude(/^claude-opus-(?:5|4-[5-8])$/, 5, 25, 0.5, "2025-11-01"),
  claude(/^claude-opus-4(?:-[01])?$/, 15, 75, 1.5, "2025-05-01"),
  claude(/^claude-sonnet-5(?:-5)?$/, 2, 10, 0.2, "2026-06-30"),
  claude(/^claude-sonnet-4(?:-[056])?$/, 3, 15, 0.3, "2025-05-01"),
  claude(/^claude-haiku-4-5$/, 1, 5, 0.1, "2025-10-01"),
  { provider: "groq", model: /^openai\/gpt-oss-120b$/, input: 0.15, output: 0.6, since: "2025-09-01" },
  { provider: "demo", model: /./, input: 0, output: 0, since: "2026-11-21" },
];

const MILLION = 1_000_000;

/**
 * The price of a model at a provider, or null. The configuration's prices come first and the table fills the gaps. Cached
 * input without its own price is charged as plain input, so an estimate is too high rather than too low.
 */
export function priceOf(provider: string, model: string, configured: ConfiguredPrice | undefined): Price | null {
  const name = model.replace(/-\d{8}$/, "");
  const row = TABLE.find((each) => each.provider === provider && each.model.test(name));
  const perToken = (dollars: number | undefined): number | undefined =>
    dollars === undefined ? undefined : dollars / MILLION;
  const input = configured?.input ?? perToken(row?.input);
  const output = configured?.output ?? perToken(row?.output);
  if (input === undefined || output === undefined) return null;
  const ownInput = configured?.input !== undefined;
  const cacheWrite = configured?.cacheWrite ?? (ownInput ? undefined : perToken(row?.cacheWrite)) ?? input;
  return {
    input,
    output,
    cacheRead: configured?.cacheRead ?? (ownInput ? undefined : perToken(row?.cacheRead)) ?? input,
    cacheWrite,
    cacheWriteHour: (ownInput ? undefined : perToken(row?.cacheWriteHour)) ?? cacheWrite,
    version: configured === undefined ? PRICES_VERSION : "config",
  };
}

/** US dollars for one web search that a provider makes. */
const WEB_SEARCH_USD = 0.01;

/** US dollars, rounded to a billionth so that sums stay readable. `factor` is a multiple of the price of tokens. */
export function costOf(usage: Usage, price: Price, factor = 1): number {
  const hour = Math.min(usage.cacheWriteHourTokens ?? 0, usage.cacheWriteTokens);
  const dollars =
    usage.inputTokens * price.input +
    usage.outputTokens * price.output +
    usage.cacheReadTokens * price.cacheRead +
    (usage.cacheWriteTokens - hour) * price.cacheWrite +
    hour * price.cacheWriteHour;
  const searches = (usage.webSearches ?? 0) * WEB_SEARCH_USD;
  return Math.round((dollars * factor + searches) * 1e9) / 1e9;
}

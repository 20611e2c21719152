/** Budgets: an amount is reserved before each call, and the real cost is settled after it. */
import type { RouterFailure } from "../base/errors.ts";
import type { UsageRecord } from "../base/usage.ts";

/** The most a call may cost, as far as that is known beforehand. */
export interface Estimate {
  readonly requestId: string;
  readonly account: string;
  readonly keyId: string | null;
  readonly sessionId: string | null;
  readonly model: string;
  /** Estimated from the request's content. Errs upwards. */
  readonly inputTokens: number;
  readonly maxOutputTokens: number;
  /** US dollars; null when the price of a model that may answer is not known. */
  readonly maxCostUsd: number | null;
  /** The route and model without a price, when `maxCostUsd` is null. */
  readonly unpriced?: Unpriced;
}

/** A model whose price is neither in the configuration nor in the price list. */
export interface Unpriced {
  /** `model_name` of its route, as the configuration writes it. */
  readonly route: string;
  /** Provider and model, as the provider knows it. */
  readonly model: string;
}

/** The answer to a reservation: permission that must be settled, or a refusal that the client gets. */
export type Reservation =
  | {
      readonly granted: true;
      /** Called exactly once, when the call has ended. Must not throw. */
      settle(record: UsageRecord): void;
    }
  | { readonly granted: false; readonly refusal: RouterFailure };

/** Reserves the estimated cost of a call before it is made. */
export type Reserve = (estimate: Estimate) => Promise<Reservation>;

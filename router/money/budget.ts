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
  /** Estimated from the size of the request; counting would cost more than it is worth. */
  readonly inputTokens: number;
  readonly maxOutputTokens: number;
  /** US dollars; null when the price is not known. */
  readonly maxCostUsd: number | null;
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

/** Limits of `MemoryBudgets`. */
export interface BudgetLimits {
  /** US dollars an account may spend; no limit when absent. */
  readonly perAccountUsd?: number;
  /** US dollars a session may spend; no limit when absent. */
  readonly perSessionUsd?: number;
  /** Whether to refuse a call with an unknown price when there is a limit, since it cannot be counted against the limit. */
  readonly refuseUnknownPrice?: boolean;
}

/** Money spent, and money that calls in flight may still spend. */
interface Purse {
  spentUsd: number;
  reservedUsd: number;
}

/** Budgets in memory: for tests, and for a router that runs in one process. */
export class MemoryBudgets {
  readonly #limits: BudgetLimits;
  readonly #purses = new Map<string, Purse>();

  constructor(limits: BudgetLimits) {
    this.#limits = limits;
  }

  /** Grants the call when every budget it draws on still covers what it may cost. */
  readonly reserve: Reserve = async (estimate) => {
    const { perAccountUsd, perSessionUsd, refuseUnknownPrice = false } = this.#limits;
    const purses: { key: string; limit: number; name: string }[] = [];
    if (perAccountUsd !== undefined)
      purses.push({ key: `account:${estimate.account}`, limit: perAccountUsd, name: "account" });
    if (perSessionUsd !== undefined && estimate.sessionId !== null) {
      purses.push({ key: `session:${estimate.sessionId}`, limit: perSessionUsd, name: "session" });
    }
    const amount = estimate.maxCostUsd;
    if (amount === null && refuseUnknownPrice && purses.length > 0) {
      return refuse(
        `The price of model "${estimate.model}" is not known, and this account has a budget: set its cost in litellm_config.yaml.`,
      );
    }
    for (const { key, limit, name } of purses) {
      const { spentUsd, reservedUsd } = this.#purse(key);
      if (spentUsd + reservedUsd + (amount ?? 0) > limit || spentUsd >= limit) {
        return refuse(
          `The budget of this ${name} is used up: $${spentUsd.toFixed(4)} of $${limit.toFixed(2)} spent, this call may cost ${amount === null ? "an unknown amount" : `$${amount.toFixed(4)}`}.`,
        );
      }
    }
    for (const { key } of purses) this.#purse(key).reservedUsd += amount ?? 0;
    let settled = false;
    return {
      granted: true,
      settle: ({ costUsd }) => {
        if (settled) return;
        settled = true;
        for (const { key } of purses) {
          const purse = this.#purse(key);
          purse.reservedUsd = Math.max(0, purse.reservedUsd - (amount ?? 0));
          purse.spentUsd += costUsd ?? 0;
        }
      },
    };
  };

  /** US dollars spent and reserved so far. */
  spent(kind: "account" | "session", id: string): Readonly<Purse> {
    return { ...this.#purse(`${kind}:${id}`) };
  }

  #purse(key: string): Purse {
    let purse = this.#purses.get(key);
    if (purse === undefined) this.#purses.set(key, (purse = { spentUsd: 0, reservedUsd: 0 }));
    return purse;
  }
}

function refuse(message: string): Reservation {
  return { granted: false, refusal: { status: 402, type: "billing_error", message, shouldRetry: false } };
}

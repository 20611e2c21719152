/** Money is looked at before each call: an amount is reserved, and what the call really cost is settled after it. */
import type { RouterFailure } from "../base/errors.ts";
import type { UsageRecord } from "../base/usage.ts";

/** What a call may cost at most, as far as that can be known before it. */
export interface Estimate {
  readonly requestId: string;
  readonly account: string;
  readonly keyId: string | null;
  readonly sessionId: string | null;
  readonly model: string;
  /** By the size of the request: a count would cost more than it is worth here. */
  readonly inputTokens: number;
  readonly maxOutputTokens: number;
  /** US dollars; null when the price is not known. */
  readonly maxCostUsd: number | null;
}

/** The answer to a reservation: go ahead and settle, or a refusal that the client is told. */
export type Reservation =
  | {
      readonly granted: true;
      /** Called exactly once, when the call has ended. Must not throw. */
      settle(record: UsageRecord): void;
    }
  | { readonly granted: false; readonly refusal: RouterFailure };

export type Reserve = (estimate: Estimate) => Promise<Reservation>;

export interface BudgetLimits {
  /** US dollars an account may spend; left out: no limit. */
  readonly perAccountUsd?: number;
  /** US dollars a session may spend; left out: no limit. */
  readonly perSessionUsd?: number;
  /** Whether a call whose price is not known is refused where there is a limit. It cannot be counted against it. */
  readonly refuseUnknownPrice?: boolean;
}

/** One purse: what is spent, and what calls in flight may still spend. */
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

  /** Grants when every purse that the call would draw on still holds what it may cost. */
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

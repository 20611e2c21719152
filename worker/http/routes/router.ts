import type { Result } from "hono/router";
import { TrieRouter } from "hono/router/trie-router";

/**
 * Hono's router for paths of any kind, which looks once for each path that names no parameter: whoever has just been
 * woken searches for a third of a millisecond, and the model calls of all runs come by such a path.
 */
export class FixedPathsRouter<T> extends TrieRouter<T> {
  readonly #fixed: ReadonlySet<string>;
  readonly #found = new Map<string, Result<T>>();

  /** @param names "POST /v1/messages" of all routes; what nobody named is looked for each time. */
  constructor(names: readonly string[]) {
    super();
    this.#fixed = new Set(names.filter((name) => !name.includes(":")));
  }

  override match(method: string, path: string): Result<T> {
    const name = `${method} ${path}`;
    if (!this.#fixed.has(name)) return super.match(method, path);
    let found = this.#found.get(name);
    if (!found) this.#found.set(name, (found = super.match(method, path)));
    return found;
  }
}

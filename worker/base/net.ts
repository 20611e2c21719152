import type { Env } from "./env.ts";

/**
 * `fetch` without a detour. The local runtime routes the global `fetch` through a Worker of its own, which adds a
 * millisecond to a model call and cuts its body into pieces of eight kilobytes. The cloud has neither this binding nor
 * that Worker.
 */
export function directFetch(env: Env): typeof fetch {
  const net = env.DIRECT_NET;
  return net ? net.fetch.bind(net) : (input, init) => fetch(input, init);
}

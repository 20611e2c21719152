import type { Env } from "./env.ts";

/**
 * `fetch` without a detour. The local runtime has a Worker of its own in the way of everything that goes out by the
 * global `fetch`: a model call took a millisecond more by it, its body in pieces of eight kilobytes. In the cloud there
 * is no such binding, and no such Worker.
 */
export function directFetch(env: Env): typeof fetch {
  const net = env.DIRECT_NET;
  return net ? net.fetch.bind(net) : (input, init) => fetch(input, init);
}

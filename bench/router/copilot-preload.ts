/**
 * Loaded into copilot-api before it starts: the addresses of its two providers are built in, so requests to
 * them are redirected to the scripted provider (`BENCH_UPSTREAM`), and all others are refused.
 */

const real = globalThis.fetch;
const upstream = process.env["BENCH_UPSTREAM"] ?? "";

/** One model, with what copilot-api looks up of it. */
const MODELS = { data: [{ id: "bench-model", name: "bench", capabilities: { tokenizer: "o200k_base", limits: {} } }] };

globalThis.fetch = async (input, init) => {
  const url = new URL(input instanceof Request ? input.url : input);
  if (url.hostname === "api.githubcopilot.com") {
    return url.pathname === "/models" ? Response.json(MODELS) : real(`${upstream}${url.pathname}`, init);
  }
  if (url.pathname === "/copilot_internal/v2/token") return Response.json({ token: "bench", refresh_in: 86_400 });
  throw new Error(`${url.hostname} is not asked in a benchmark`);
};

/** Retries, fallbacks, cooldowns and time limits through the whole router, with a clock that the test moves. */
import { describe, expect, test } from "vitest";
import {
  delta,
  eventNames,
  fails,
  frame,
  hangs,
  hostsConfig,
  message,
  rig,
  START,
  type Step,
  STOP,
  stream,
  unreachable,
} from "../testing/scripted-upstream.ts";

const overloaded = fails(529, "overloaded_error", "Overloaded");
const limited = (seconds: string): Step => fails(429, "rate_limit_error", "Slow down", { "retry-after": seconds });

describe("one deployment", () => {
  test.each<[name: string, steps: Step[], status: number, asked: number, waitedMs: number]>([
    ["a good answer", [message()], 200, 1, 0],
    ["500, then good", [fails(500, "api_error"), message()], 200, 2, 500],
    ["backs off exponentially", [fails(500, "api_error"), fails(503, "api_error"), message()], 200, 3, 1500],
    ["gives up after its retries", [fails(500, "api_error")], 500, 4, 3500],
    ["a 529 gets four retries", [overloaded], 529, 5, 7500],
    ["absorbs a 529", [overloaded, overloaded, overloaded, message()], 200, 4, 3500],
    ["waits as long as the upstream asks", [limited("7"), message()], 200, 2, 7000],
    ["a longer wait is left to the client", [limited("31")], 429, 1, 0],
    ["a network error is retried", [unreachable, message()], 200, 2, 500],
    ["unreachable", [unreachable], 502, 4, 3500],
    ["400 is final", [fails(400, "invalid_request_error")], 400, 1, 0],
    ["401 is final", [fails(401, "authentication_error")], 401, 1, 0],
    ["403 is final", [fails(403, "permission_error")], 403, 1, 0],
    ["404 is final", [fails(404, "not_found_error")], 404, 1, 0],
    ["413 is final", [fails(413, "request_too_large")], 413, 1, 0],
    ["the upstream says no", [fails(500, "api_error", "x", { "x-should-retry": "false" })], 500, 1, 0],
    [
      "HTML",
      [() => new Response("<h1>Bad gateway</h1>", { status: 502, headers: { "content-type": "text/html" } })],
      502,
      4,
      3500,
    ],
    ["half a JSON", [() => new Response('{"type":"mess'), message()], 200, 2, 500],
    [
      "an error object in a 200",
      [() => Response.json({ type: "error", error: { type: "overloaded_error", message: "x" } }), message()],
      200,
      2,
      500,
    ],
  ])("%s", async (_, steps, status, asked, waitedMs) => {
    const it = rig(hostsConfig(["a"], "router_settings: {retry_policy: {max_retries: 3}}"), { a: steps });
    const before = it.clock.now();
    const response = await it.clock.run(it.post());
    expect(response.status).toBe(status);
    expect(it.providers.asked).toHaveLength(asked);
    expect(it.clock.now() - before).toBe(waitedMs);
    expect(it.router.inFlight).toBe(0);
    expect(it.records).toHaveLength(1);
    expect(it.records[0]).toMatchObject({ outcome: status === 200 ? "ok" : "failed", status, tries: asked });
    if (status !== 200) {
      const body = (await response.json()) as { type: string; error: { message: string }; request_id: string };
      expect(body.type).toBe("error");
      expect(body.request_id).toMatch(/^req_/);
      expect(response.headers.get("request-id")).toBe(body.request_id);
      if (status >= 400 && status < 500 && status !== 429) expect(response.headers.get("x-should-retry")).toBe("false");
      // The client must not retry what was retried here.
      if (asked > 1) expect(response.headers.get("x-should-retry")).toBe("false");
    }
    expect(it.clock.pending).toBe(0);
  });

  test("the last failure's retry-after reaches the client", async () => {
    const it = rig(hostsConfig(["a"]), { a: [limited("60")] });
    const response = await it.clock.run(it.post());
    expect(response.headers.get("retry-after")).toBe("60");
  });

  test("exponential_backoff: false makes all pauses equal", async () => {
    const it = rig(
      hostsConfig(["a"], "router_settings: {retry_policy: {max_retries: 3, exponential_backoff: false}}"),
      {
        a: [fails(500, "api_error")],
      },
    );
    const before = it.clock.now();
    await it.clock.run(it.post());
    expect(it.clock.now() - before).toBe(1500);
  });

  test("jitter shortens a pause by up to a quarter", async () => {
    const it = rig(hostsConfig(["a"]), { a: [fails(500, "api_error"), message()] }, { random: () => 0.999 });
    const before = it.clock.now();
    await it.clock.run(it.post());
    expect(it.clock.now() - before).toBe(375);
  });

  test("a silent upstream is given up after the first-byte limit", async () => {
    const it = rig(hostsConfig(["a"], "router_settings: {num_retries: 1}"), { a: [hangs, stream(START, STOP)] });
    const before = it.clock.now();
    const response = await it.clock.run(it.post({ stream: true }));
    expect(response.status).toBe(200);
    await it.clock.run(response.text());
    expect(it.clock.now() - before).toBeGreaterThanOrEqual(30_500);
    expect(it.providers.asked).toHaveLength(2);
    expect(it.providers.asked[0]?.signal.aborted).toBe(true);
  });

  test("an answer without a stream has ten minutes, and is tried only once", async () => {
    const it = rig(hostsConfig(["a"]), { a: [hangs] });
    const before = it.clock.now();
    const response = await it.clock.run(it.post());
    expect(response.status).toBe(504);
    expect(it.clock.now() - before).toBe(600_000);
  });
});

describe("a stream that fails before the client has anything", () => {
  test.each<[string, Step]>([
    [
      "begins with an error event",
      stream(frame("error", { error: { type: "overloaded_error", message: "Overloaded" } })),
    ],
    ["is empty", stream()],
    ["is an error with a status", overloaded],
    ["is JSON", message()],
  ])("it %s: retried", async (_, step) => {
    const it = rig(hostsConfig(["a"]), { a: [step, stream(START, delta("Hi"), STOP)] });
    const response = await it.clock.run(it.post({ stream: true }));
    const text = await it.clock.run(response.text());
    expect(eventNames(text).at(-1)).toBe("message_stop");
    expect(text).not.toContain("event: error");
    expect(it.providers.asked).toHaveLength(2);
  });

  test("its failure keeps its own HTTP status", async () => {
    const it = rig(hostsConfig(["a"], "router_settings: {num_retries: 0}"), { a: [limited("9")] });
    const response = await it.clock.run(it.post({ stream: true }));
    expect(response.status).toBe(429);
    expect(response.headers.get("content-type")).toContain("application/json");
  });
});

describe("several deployments of one name", () => {
  test("another one is asked at once", async () => {
    const it = rig(hostsConfig(["a", "b"]), { a: [fails(500, "api_error")], b: [message()] });
    const before = it.clock.now();
    expect((await it.clock.run(it.post())).status).toBe(200);
    expect(it.providers.hosts()).toEqual(["a", "b"]);
    expect(it.clock.now()).toBe(before);
  });

  test("after a refused key another deployment answers, and the first cools down", async () => {
    const it = rig(hostsConfig(["a", "b"]), { a: [fails(401, "authentication_error")], b: [message()] });
    await it.clock.run(it.post());
    await it.clock.run(it.post());
    expect(it.providers.hosts()).toEqual(["a", "b", "b"]);
    await it.clock.advance(5_000);
    await it.clock.run(it.post());
    expect(it.providers.hosts()).toEqual(["a", "b", "b", "a", "b"]);
  });

  test("a rate limit cools down for as long as it says", async () => {
    const it = rig(hostsConfig(["a", "b"]), { a: [limited("20"), message()], b: [message()] });
    await it.clock.run(it.post());
    await it.clock.advance(19_000);
    await it.clock.run(it.post());
    await it.clock.advance(1_000);
    await it.clock.run(it.post());
    expect(it.providers.hosts()).toEqual(["a", "b", "b", "a"]);
  });

  test("a first 500 causes no cooldown; failures of more than half a minute's calls do", async () => {
    const it = rig(hostsConfig(["a", "b"]), { a: [fails(500, "api_error")], b: [message()] });
    for (let call = 0; call < 3; call++) await it.clock.run(it.post());
    expect(it.providers.hosts()).toEqual(["a", "b", "a", "b", "b"]);
  });

  test("invalid requests do not count against a deployment", async () => {
    const bad = fails(400, "invalid_request_error");
    const it = rig(hostsConfig(["a", "b"]), { a: [bad, bad, fails(500, "api_error"), message()], b: [message()] });
    for (let call = 0; call < 4; call++) await it.clock.run(it.post());
    expect(it.providers.hosts()).toEqual(["a", "a", "a", "b", "a"]);
  });

  test("all cooling: the one that recovers first is asked anyway", async () => {
    const it = rig(hostsConfig(["a", "b"], "router_settings: {num_retries: 1}"), {
      a: [limited("50")],
      b: [limited("40"), message()],
    });
    expect((await it.clock.run(it.post())).status).toBe(429);
    expect((await it.clock.run(it.post())).status).toBe(200);
    expect(it.providers.hosts()).toEqual(["a", "b", "b"]);
  });

  test("lower order first, the next tier when it fails", async () => {
    const it = rig(hostsConfig(["a", "b", "c"], "", { a: ", order: 2", b: ", order: 1" }), {
      a: [message()],
      b: [fails(500, "api_error")],
      c: [message()],
    });
    await it.clock.run(it.post());
    expect(it.providers.hosts()).toEqual(["b", "a"]);
  });

  test("rpm: the next one, then a 429 that says when", async () => {
    const it = rig(hostsConfig(["a", "b"], "", { a: ", rpm: 1", b: ", rpm: 1" }), { a: [message()], b: [message()] });
    await it.clock.run(it.post());
    await it.clock.run(it.post());
    expect(it.providers.hosts()).toEqual(["a", "b"]);
    const response = await it.clock.run(it.post());
    expect(response.status).toBe(429);
    expect(Number(response.headers.get("retry-after"))).toBe(60);
    await it.clock.advance(60_000);
    expect((await it.clock.run(it.post())).status).toBe(200);
  });
});

describe("fallbacks", () => {
  const two = `model_list:
  - {model_name: m, litellm_params: {model: anthropic/up, api_base: "http://a", api_key: k}}
  - {model_name: big, litellm_params: {model: anthropic/up-big, api_base: "http://b", api_key: k}}
  - {model_name: mild, litellm_params: {model: anthropic/up-mild, api_base: "http://c", api_key: k}}
router_settings:
  num_retries: 0
  fallbacks: [{m: [mild]}]
  context_window_fallbacks: [{m: [big]}]
`;
  test.each<[string, Step, string[], number]>([
    ["a failure", fails(500, "api_error"), ["a", "c"], 200],
    ["a refused key", fails(401, "authentication_error"), ["a", "c"], 200],
    [
      "a long prompt",
      fails(400, "invalid_request_error", "prompt is too long: 300000 tokens > 200000 maximum"),
      ["a", "b"],
      200,
    ],
    ["a bad request", fails(400, "invalid_request_error", "messages.0: wrong role"), ["a"], 400],
  ])("after %s", async (_, step, hosts, status) => {
    const answers = [message()];
    const it = rig(two, { a: [step], b: answers, c: answers });
    const response = await it.clock.run(it.post());
    expect(response.status).toBe(status);
    expect(it.providers.hosts()).toEqual(hosts);
  });

  test("the answering model is asked by its own name", async () => {
    const it = rig(two, { a: [unreachable], c: [message()] });
    await it.clock.run(it.post());
    expect(JSON.parse(it.providers.asked[1]?.body ?? "{}")).toMatchObject({ model: "up-mild" });
    expect(it.records[0]).toMatchObject({ model: "m", upstreamModel: "up-mild", tries: 2 });
  });
});

/** Requests that the router refuses by itself, and the lists it gives of its models. */
import type Anthropic from "@anthropic-ai/sdk";
import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { MAX_BODY_BYTES } from "./request/request.ts";
import { hostsConfig, message, rig, type Rig } from "./testing/scripted-upstream.ts";

const CALLER = { account: "acct", keyId: null, sessionId: null };
const yaml = `${hostsConfig(["a"])}\n`.replace(
  "model_list:",
  'model_list:\n  - {model_name: "groq/*", litellm_params: {model: "groq/*"}}',
);
const good = { model: "m", max_tokens: 10, messages: [{ role: "user", content: "Hi" }] };

describe("requests that are refused before any provider is asked", () => {
  test.each<[name: string, body: string | undefined, status: number, type: string, message: RegExp]>([
    ["no body", undefined, 400, "invalid_request_error", /no body/],
    ["not JSON", "{", 400, "invalid_request_error", /not JSON/],
    ["not an object", "[1]", 400, "invalid_request_error", /must be a JSON object/],
    ["null", "null", 400, "invalid_request_error", /must be a JSON object/],
    ["no model", JSON.stringify({ ...good, model: undefined }), 400, "invalid_request_error", /^model:/],
    ["an empty model", JSON.stringify({ ...good, model: "" }), 400, "invalid_request_error", /^model:/],
    ["a model that is not a string", JSON.stringify({ ...good, model: 5 }), 400, "invalid_request_error", /^model:/],
    ["no messages", JSON.stringify({ ...good, messages: undefined }), 400, "invalid_request_error", /^messages:/],
    [
      "an empty list of messages",
      JSON.stringify({ ...good, messages: [] }),
      400,
      "invalid_request_error",
      /^messages:/,
    ],
    [
      "messages that are not a list",
      JSON.stringify({ ...good, messages: "Hi" }),
      400,
      "invalid_request_error",
      /^messages:/,
    ],
    ["no max_tokens", JSON.stringify({ ...good, max_tokens: undefined }), 400, "invalid_request_error", /^max_tokens:/],
    ["max_tokens of 0", JSON.stringify({ ...good, max_tokens: 0 }), 400, "invalid_request_error", /^max_tokens:/],
    ["max_tokens as text", JSON.stringify({ ...good, max_tokens: "10" }), 400, "invalid_request_error", /^max_tokens:/],
    ["stream as text", JSON.stringify({ ...good, stream: "yes" }), 400, "invalid_request_error", /^stream:/],
    [
      "a model without a route",
      JSON.stringify({ ...good, model: "nobody" }),
      404,
      "not_found_error",
      /"nobody".*groq\/\*, m, demo\/\*/,
    ],
    [
      "a provider without a key",
      JSON.stringify({ ...good, model: "groq/x" }),
      401,
      "authentication_error",
      /GROQ_API_KEY in \.env or the environment.*wrangler secret put/,
    ],
    ["too large", `{"x":"${"x".repeat(MAX_BODY_BYTES)}"}`, 413, "request_too_large", /larger than/],
  ])("%s", async (_, body, status, type, words) => {
    const it = rig(yaml, { a: [message()] });
    const response = await it.router.messages(
      new Request("http://router.test/v1/messages", { method: "POST", ...(body === undefined ? {} : { body }) }),
      CALLER,
    );
    expect(response.status).toBe(status);
    const error = (await response.json()) as {
      type: string;
      error: { type: string; message: string };
      request_id: string;
    };
    expect(error).toMatchObject({ type: "error", error: { type } });
    expect(error.error.message).toMatch(words);
    expect(error.request_id).toMatch(/^req_/);
    expect(response.headers.get("request-id")).toBe(error.request_id);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(it.providers.asked).toHaveLength(0);
  });

  test("bytes that are not UTF-8", async () => {
    const it = rig(yaml, {});
    const body = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]);
    const response = await it.router.messages(new Request("http://r/", { method: "POST", body }), CALLER);
    expect(response.status).toBe(400);
  });

  test("a body without a content-length is read only up to the limit", async () => {
    const it = rig(yaml, {});
    let sent = 0;
    let cancelled = false;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent++;
        controller.enqueue(new Uint8Array(1024 * 1024));
      },
      cancel() {
        cancelled = true;
      },
    });
    const request = new Request("http://r/", { method: "POST", body, duplex: "half" } as RequestInit);
    expect((await it.router.messages(request, CALLER)).status).toBe(413);
    expect(sent).toBeLessThan(15);
    expect(cancelled).toBe(true);
  });

  test("counting does not need max_tokens", async () => {
    const it = rig(yaml, { a: [() => Response.json({ input_tokens: 3 })] });
    const request = new Request("http://r/", {
      method: "POST",
      body: JSON.stringify({ ...good, max_tokens: undefined }),
    });
    expect((await it.router.countTokens(request, CALLER)).status).toBe(200);
  });
});

test("a router that was given its own address refuses the circle", async () => {
  const loop: Rig = rig(hostsConfig(["self"]).replace("anthropic/up", "anthropic/m"), {
    self: [
      ({ body, headers }) =>
        loop.router.messages(new Request("http://self/", { method: "POST", body, headers }), CALLER),
    ],
  });
  const response = await loop.clock.run(loop.post());
  expect(response.status).toBe(508);
  expect(await response.text()).toContain("came back to the router");
  expect(loop.providers.asked).toHaveLength(3);
});

test("a failure inside the router is a 500; only the log has the details", async () => {
  const it = rig(
    yaml,
    { a: [message()] },
    { reserve: () => Promise.reject(new Error("database at 10.0.0.1 is down")) },
  );
  const response = await it.post();
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("10.0.0.1");
  expect(JSON.stringify(it.logs)).toContain("10.0.0.1");
});

describe("the router's models", () => {
  const it = rig(yaml, {});

  test("models in Anthropic's shape", async () => {
    const request = new Request("http://r/v1/models", { headers: { "anthropic-version": "2023-06-01" } });
    const list = (await (await it.router.models(request, CALLER)).json()) as {
      data: Anthropic.ModelInfo[];
      has_more: boolean;
    };
    // The key of the rig's environment makes Claude the default, but no route takes it.
    expect(list.data.map(({ id }) => id)).toEqual(["m", "demo/scripted"]);
    expect(list).toMatchObject({ first_id: "m", last_id: "demo/scripted", has_more: false });
    expect(list.data[0]).toMatchObject({ type: "model", display_name: "m", lifecycle: "active" });
  });

  test("models in OpenAI's shape", async () => {
    const list = (await (await it.router.models(new Request("http://r/v1/models"), CALLER)).json()) as {
      object: string;
      data: OpenAI.Model[];
    };
    expect(list.object).toBe("list");
    expect(list.data[1]).toEqual({ id: "demo/scripted", object: "model", created: 0, owned_by: "demo" });
  });

  test("names", () => {
    expect(it.router.routeNames()).toEqual(["groq/*", "m", "demo/*"]);
    expect(["m", "groq/x", "demo/y", "nobody"].map((name) => it.router.knows(name))).toEqual([true, true, true, false]);
    expect(it.router.defaultModel).toBe("demo/scripted");
  });
});

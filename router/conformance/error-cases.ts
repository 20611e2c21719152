/** Cases 20 to 22 and other failures: before an answer, and instead of one. */
import { assert } from "../testing/expect.ts";
import { answer, chunk, type Row, STREAM, stream } from "./case.ts";

const STATUSES: readonly [status: number, type: string][] = [
  [400, "invalid_request_error"],
  [401, "authentication_error"],
  [403, "permission_error"],
  [404, "not_found_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [500, "api_error"],
  [502, "api_error"],
  [503, "api_error"],
  [529, "overloaded_error"],
];

const refusal = (status: number): { status: number; json: unknown } => ({
  status,
  json: { error: { message: `no (${status})`, type: "whatever", code: null } },
});

export const errorRows: Row[] = [
  {
    id: "20",
    title: "an error object in a 200 JSON: an error status and Anthropic's shape",
    onlyHere: true,
    reply: { json: { error: { message: "Rate limited", code: 429 } } },
    expect: (seen) => {
      assert.equal(seen.status, 429);
      assert.equal(seen.json.type, "error");
      assert.equal(seen.json.error.type, "rate_limit_error");
    },
  },
  {
    id: "20",
    title: "an error object in a 200 JSON where a stream was requested",
    onlyHere: true,
    ask: STREAM,
    reply: { json: { error: { message: "No such model", code: "model_not_found" } } },
    expect: (seen) => {
      assert.equal(seen.status, 404);
      assert.equal(seen.json.error.type, "not_found_error");
    },
  },
  {
    id: "20",
    title: "an error beside an empty choice",
    reply: { json: { choices: [{ error: { code: 502, message: "Provider broke" }, message: { content: "" } }] } },
    expect: (seen) => assert.equal(seen.status, 502),
  },
  ...[429, 500].map((status): Row => ({
    id: "21",
    title: `a ${status} before a stream: the status and JSON, no stream`,
    onlyHere: true,
    ask: STREAM,
    reply: refusal(status),
    expect: (seen) => {
      assert.equal(seen.status, status);
      assert.match(seen.headers.get("content-type") ?? "", /json/);
      assert.equal(seen.json.type, "error");
    },
  })),
  {
    id: "21",
    title: "an error as the first event of a stream is a status too",
    ask: STREAM,
    reply: stream({ error: { message: "Overloaded", type: "overloaded_error" } }),
    expect: (seen) => {
      assert.equal(seen.status, 529);
      assert.equal(seen.json.error.type, "overloaded_error");
    },
  },
  ...STATUSES.flatMap(([status, type]): Row[] =>
    [undefined, STREAM].map((ask) => ({
      id: "22",
      title: `${status} is ${type}${ask === undefined ? "" : ", streamed"}`,
      ...(status === 401 ? { onlyHere: true as const } : {}),
      ...(ask === undefined ? {} : { ask }),
      reply: { ...refusal(status), headers: { "retry-after": "7" } },
      expect: (seen) => {
        assert.equal(seen.status, status);
        assert.equal(seen.json.type, "error");
        assert.equal(seen.json.error.type, type);
        assert.match(seen.json.error.message, new RegExp(`no \\(${status}\\)`));
        assert.equal(seen.headers.get("retry-after"), "7");
        assert.equal(seen.requests.length, 1, "the router retries, not the upstream");
      },
    })),
  ),
  {
    id: "22",
    title: "other shapes of errors are read: FastAPI's detail, a bare message, a list, plain text",
    reply: { status: 422, json: { detail: [{ loc: ["body", "model"], msg: "field required" }] } },
    expect: (seen) => assert.match(seen.json.error.message, /field required/),
  },
  {
    id: "22",
    title: "the provider's key never reaches the client",
    reply: { status: 401, json: { error: { message: "Incorrect API key provided: sk-upstream-secret." } } },
    expect: (seen) => assert.ok(!seen.text.includes("sk-upstream-secret")),
  },
  {
    id: "+ too long",
    title: "a context overflow says so in Anthropic's words, so that clients compact",
    reply: {
      status: 400,
      json: {
        error: {
          message:
            "This model's maximum context length is 131072 tokens. However, your messages resulted in 140001 tokens.",
          code: "context_length_exceeded",
        },
      },
    },
    expect: (seen) => {
      assert.equal(seen.json.error.type, "invalid_request_error");
      assert.match(seen.json.error.message, /^prompt is too long: 140001 tokens > 131072 maximum/);
    },
  },
  {
    id: "+ failed call",
    title: "Groq's tool_use_failed is the model's fault: a status that is retried",
    provider: "groq",
    reply: { status: 400, json: { error: { message: "Failed to call a function.", code: "tool_use_failed" } } },
    expect: (seen) => {
      assert.equal(seen.status, 502);
      assert.equal(seen.headers.get("x-should-retry"), null);
    },
  },
  ...(
    [
      ["an HTML page", { text: "<html><body>Bad gateway</body></html>" }],
      ["half a JSON", { text: '{"choices":[{"message":{"content":"Hel' }],
      ["an empty body", { text: "" }],
      ["JSON without choices", { json: { ok: true } }],
      ["a JSON list", { json: [] }],
    ] as const
  ).flatMap(([what, reply]): Row[] =>
    [undefined, STREAM].map((ask) => ({
      id: "+ no answer",
      title: `${what} with 200${ask === undefined ? "" : " for a stream"} is an api_error, at once`,
      ...(ask === undefined ? {} : { ask }),
      reply,
      expect: (seen) => {
        assert.equal(seen.status, 502);
        assert.equal(seen.json.error.type, "api_error");
      },
    })),
  ),
  {
    id: "+ no answer",
    title: "a stream of nothing but [DONE]",
    ask: STREAM,
    reply: stream(),
    expect: (seen) => {
      assert.equal(seen.status, 502);
      assert.equal(seen.json.error.type, "api_error");
    },
  },
  {
    id: "+ no answer",
    title: "events that are not JSON",
    ask: STREAM,
    reply: stream(chunk({ content: "Hi" }), "data: {broken\n\n"),
    expect: (seen) => assert.equal(seen.message.error?.type, "api_error"),
  },
  {
    id: "+ no answer",
    title: "an answer without a stream, where one was requested, is streamed",
    ask: STREAM,
    reply: answer({ content: "Hi", reasoning: "Hm." }),
    expect: (seen) => {
      assert.equal(seen.message.content.length, 2);
      assert.equal(seen.usage.length, 1);
    },
  },
];

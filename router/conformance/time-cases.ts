/** Cases 23 and 25 and related ones: what a client gets while a provider is slow, silent or gone. */
import { parseRouterConfig } from "../config/config.ts";
import { createRouter, type Router } from "../router.ts";
import { bodyOf, deploymentOf, nodeDeps } from "../testing/call-upstream.ts";
import { assert } from "../testing/expect.ts";
import type { OpenAiServer } from "../testing/openai-server.ts";
import { readMessage } from "../testing/read-message.ts";
import { requestOf } from "../testing/request-of.ts";
import { openaiUpstream } from "../upstreams/openai.ts";
import { answer, chunk, end, type Row, STREAM, stream } from "./case.ts";

const hurried = {
  ...nodeDeps,
  // Back-off and grace periods pass twenty times faster.
  sleep: (ms: number, signal?: AbortSignal) => nodeDeps.sleep(ms / 20, signal),
};

/** A router whose only model is served by the scripted server. */
function routerTo(server: OpenAiServer, settings: string): Router {
  const { config } = parseRouterConfig(`
model_list:
  - model_name: claude-test
    litellm_params: { model: openai/test, api_base: "${server.url}", api_key: sk-test }
router_settings:
  retry_policy: { max_retries: 2, timeout: 60 }
${settings}`);
  return createRouter(config, { ...hurried, env: {}, log: () => {} });
}

function ask(router: Router, signal?: AbortSignal): Promise<Response> {
  const request = new Request("http://router.test/v1/messages", {
    method: "POST",
    body: JSON.stringify(bodyOf(STREAM)),
    ...(signal === undefined ? {} : { signal }),
  });
  return router.messages(request, { account: "acct_test", keyId: null, sessionId: null });
}

/** Reads a stream until `needle` is in it. */
async function readUntil(response: Response, needle: string): Promise<{ text: string; stop: () => Promise<void> }> {
  assert.ok(response.body);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  while (!text.includes(needle)) {
    const { done, value } = await reader.read();
    assert.ok(!done, `the stream ended before "${needle}": ${text}`);
    text += decoder.decode(value, { stream: true });
  }
  return { text, stop: () => reader.cancel() };
}

export const timeRows: Row[] = [
  {
    id: "23",
    title: "silence inside a block: an empty delta of the open block's type, which Claude Code counts",
    run: async (server) => {
      server.enqueue({ chunks: [chunk({ content: "Thinking about it" })], hang: true });
      const response = await ask(routerTo(server, "  keepalive_interval: 0.05"));
      const { stop } = await readUntil(response, '"text":""}}');
      await stop();
    },
  },
  {
    id: "23",
    title: "endless silence: event: error after the idle limit",
    run: async (server) => {
      server.enqueue({ chunks: [chunk({ content: "Half" })], hang: true });
      const response = await ask(routerTo(server, "  stream_idle_timeout: 0.1"));
      const message = readMessage(await response.text());
      assert.ok(message.error);
    },
  },
  {
    id: "25",
    title: "the first delta goes out while the provider is still writing",
    run: async (server) => {
      server.enqueue({ chunks: [chunk({ content: "First" })], hang: true });
      const gone = new AbortController();
      const response = await openaiUpstream(
        {
          request: await requestOf(bodyOf(STREAM)),
          kind: "messages",
          inbound: new Headers(),
          search: "",
          requestId: "req_test",
          deployment: deploymentOf({ apiBase: server.url }),
          signal: gone.signal,
          onUsage: () => {},
        },
        nodeDeps,
      );
      const { text, stop } = await readUntil(response, "First");
      assert.ok(text.startsWith("event: message_start\n"));
      await stop();
      await server.until((requests) => requests.at(-1)?.aborted === true);
    },
  },
  {
    id: "25",
    title: "a complete answer does not wait for a provider that keeps the connection open",
    run: async (server) => {
      server.enqueue({ chunks: [chunk({ content: "Hi" }), end("stop")], hang: true });
      const response = await ask(routerTo(server, ""));
      const message = readMessage(await response.text());
      assert.equal(message.stop_reason, "end_turn");
    },
  },
  {
    id: "+ retries",
    title: "a failure that may pass is retried, but only before the first byte",
    run: async (server) => {
      server.enqueue(
        { status: 503, json: {} },
        stream({ error: { message: "Overloaded" } }),
        stream(chunk({ content: "Hi" }), end("stop")),
      );
      const response = await ask(routerTo(server, "  cooldown_time: 0"));
      assert.equal(readMessage(await response.text()).stop_reason, "end_turn");
      assert.equal(server.requests.length, 3);
    },
  },
  {
    id: "+ retries",
    title: "nothing is retried once the client has text",
    run: async (server) => {
      server.enqueue({ chunks: [chunk({ content: "Half" })], cut: true }, answer({ content: "never asked" }));
      const response = await ask(routerTo(server, ""));
      assert.equal(readMessage(await response.text()).error?.type, "api_error");
      assert.equal(server.requests.length, 1);
    },
  },
  {
    id: "+ retries",
    title: "a 400 is not retried, and says so",
    run: async (server) => {
      server.enqueue({ status: 400, json: { error: { message: "bad" } } });
      const response = await ask(routerTo(server, ""));
      assert.equal(response.status, 400);
      assert.equal(response.headers.get("x-should-retry"), "false");
      assert.equal(server.requests.length, 1);
    },
  },
  {
    id: "+ abort",
    title: "a client that leaves ends the provider's request, before and during the answer",
    run: async (server) => {
      const router = routerTo(server, "");
      const early = new AbortController();
      server.enqueue({ hang: true });
      const unanswered = ask(router, early.signal);
      await server.until((requests) => requests.length === 1);
      early.abort();
      await unanswered;
      await server.until((requests) => requests[0]?.aborted === true);

      const late = new AbortController();
      server.enqueue({ chunks: [chunk({ content: "Half" })], hang: true });
      const { stop } = await readUntil(await ask(router, late.signal), "Half");
      late.abort();
      await stop().catch(() => {});
      await server.until((requests) => requests[1]?.aborted === true);
    },
  },
];

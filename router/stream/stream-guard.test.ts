/** A client's stream through the whole router: keep-alives, silence, broken streams, and clients that leave. */
import { describe, expect, test } from "vitest";
import {
  delta,
  eventNames,
  fails,
  frame,
  hangs,
  hostsConfig,
  rig,
  START,
  type Step,
  STOP,
  stream,
  streamResponse,
} from "../testing/scripted-upstream.ts";
import type { Rig } from "../testing/scripted-upstream.ts";

const TOOL = frame("content_block_start", {
  index: 1,
  content_block: { type: "tool_use", id: "t", name: "Bash", input: {} },
});
const THINKING = frame("content_block_start", { index: 1, content_block: { type: "thinking", thinking: "" } });
const CLOSE = frame("content_block_stop", { index: 0 });

/** A stream whose pieces come with pauses: text is sent, a number is waited for. */
function timed(it: () => Rig, steps: readonly (string | number)[]): Step {
  return (asked) =>
    streamResponse(asked, async (send) => {
      for (const step of steps) {
        if (typeof step === "number") await it().clock.sleep(step, asked.signal);
        else send(step);
      }
    });
}

function timedRig(steps: readonly (string | number)[], rest = ""): Rig {
  const it: Rig = rig(hostsConfig(["a"], rest), { a: [timed(() => it, steps)] });
  return it;
}

async function read(it: Rig): Promise<string> {
  const response = await it.clock.run(it.post({ stream: true }));
  expect(response.status).toBe(200);
  return it.clock.run(response.text());
}

describe("keep-alives", () => {
  test.each<[where: string, steps: (string | number)[], sign: string]>([
    ["between blocks", [START, CLOSE, 16_000, frame("message_stop")], "ping"],
    ["before the first block", [frame("message_start", { message: {} }), 16_000, frame("message_stop")], "ping"],
    [
      "in a text block",
      [START, 16_000, STOP],
      '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}',
    ],
    [
      "in a tool block",
      [START, CLOSE, TOOL, 16_000, STOP],
      '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}',
    ],
    [
      "in a thinking block",
      [START, CLOSE, THINKING, 16_000, STOP],
      '{"type":"content_block_delta","index":1,"delta":{"type":"thinking_delta","thinking":""}}',
    ],
  ])("%s", async (_, steps, sign) => {
    const it = timedRig(steps);
    const text = await read(it);
    const sent = steps.filter((step) => typeof step === "string").join("");
    expect(text).toContain(sign);
    const without = text
      .replace('event: ping\ndata: {"type": "ping"}\n\n', "")
      .replace(`event: content_block_delta\ndata: ${sign}\n\n`, "");
    expect(without).toBe(sent);
  });

  test("one every 15 seconds of silence, none while the upstream talks", async () => {
    const quiet = timedRig([START, 50_000, STOP]);
    expect((await read(quiet)).split('"text_delta","text":""')).toHaveLength(1 + 3);
    const busy = timedRig([START, ...Array.from({ length: 10 }, () => [14_000, delta("x")]).flat(), STOP]);
    expect(await read(busy)).not.toContain('"text_delta","text":""');
  });

  test("never inside an event: an incomplete event is held back", async () => {
    const half = delta("split").length / 2;
    const it = timedRig([START, delta("split").slice(0, half), 16_000, delta("split").slice(half), STOP]);
    const text = await read(it);
    expect(text).toBe(
      START +
        frame("content_block_delta", { index: 0, delta: { type: "text_delta", text: "" } }) +
        delta("split") +
        STOP,
    );
  });
});

describe("silence and breaks", () => {
  test("after a minute of silence the stream ends in an error, and the upstream is released", async () => {
    const it = timedRig([START, delta("Hi"), 61_000, STOP]);
    const before = it.clock.now();
    const text = await read(it);
    expect(it.clock.now() - before).toBe(60_000);
    expect(eventNames(text).at(-1)).toBe("error");
    expect(text).toContain("timeout_error");
    expect(text).not.toContain("message_stop");
    expect(it.providers.asked[0]?.cancelled).toBe(true);
    expect(it.records).toMatchObject([{ outcome: "cut", estimated: true, usage: { inputTokens: 10 } }]);
    expect(it.router.inFlight).toBe(0);
  });

  test("the configuration sets stream_idle_timeout and keepalive_interval", async () => {
    const it = timedRig([START, 10_000, STOP], "router_settings: {stream_idle_timeout: 5, keepalive_interval: 2}");
    const text = await read(it);
    expect(text.split('"text_delta","text":""')).toHaveLength(1 + 2);
    expect(eventNames(text).at(-1)).toBe("error");
  });

  test.each<[string, Step]>([
    ["closes mid-answer", stream(START, delta("Hi"))],
    ["closes inside an event", stream(START, delta("Hi"), "event: content_block_del")],
    [
      "breaks",
      (asked) =>
        streamResponse(asked, async (send) => {
          send(START);
          // A break discards unread bytes, so let them be read first.
          for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
          throw new TypeError("terminated");
        }),
    ],
    [
      "sends an error event",
      stream(START, frame("error", { error: { type: "overloaded_error", message: "Overloaded" } })),
    ],
  ])("an upstream that %s: an error event, nothing after it", async (_, step) => {
    const it = rig(hostsConfig(["a"]), { a: [step] });
    const text = await read(it);
    expect(eventNames(text).at(-1)).toBe("error");
    expect(text.endsWith("\n\n")).toBe(true);
    expect(text).not.toContain("content_block_del\n");
    expect(eventNames(text).filter((name) => name === "error")).toHaveLength(1);
    expect(it.records).toMatchObject([{ outcome: "cut", costUsd: null }]);
    expect(it.providers.asked).toHaveLength(1);
  });

  test("an upstream that never closes after message_stop does not delay the client", async () => {
    const it = timedRig([START, STOP, 3_600_000]);
    const before = it.clock.now();
    expect(await read(it)).toBe(START + STOP);
    expect(it.clock.now() - before).toBeLessThan(2_000);
    expect(it.records).toMatchObject([{ outcome: "ok" }]);
    await it.clock.advance(2_000);
    expect(it.providers.asked[0]?.cancelled).toBe(true);
  });
});

describe("an upstream that is slow to begin", () => {
  test("after ten seconds the stream begins with a ping, and the answer follows", async () => {
    const it: Rig = rig(hostsConfig(["a"]), {
      a: [
        async (asked) => {
          await it.clock.sleep(28_000, asked.signal);
          return stream(START, STOP)(asked);
        },
      ],
    });
    const before = it.clock.now();
    const response = await it.clock.run(it.post({ stream: true }));
    expect(it.clock.now() - before).toBe(10_000);
    expect(response.status).toBe(200);
    const text = await it.clock.run(response.text());
    expect(eventNames(text).slice(0, 3)).toEqual(["ping", "ping", "message_start"]);
    expect(text.endsWith(START + STOP)).toBe(true);
    expect(it.records).toMatchObject([{ outcome: "ok", status: 200 }]);
  });

  test("a failure after that is an error event", async () => {
    const it: Rig = rig(hostsConfig(["a"], "router_settings: {num_retries: 0}"), { a: [hangs] });
    const response = await it.clock.run(it.post({ stream: true }));
    const text = await it.clock.run(response.text());
    expect(eventNames(text)).toEqual(["ping", "ping", "error"]);
    expect(text).toContain("timeout_error");
    expect(it.records).toMatchObject([{ outcome: "failed", tries: 1 }]);
    expect(it.router.inFlight).toBe(0);
  });

  test("retries continue behind the pings", async () => {
    const it: Rig = rig(hostsConfig(["a"]), { a: [hangs, fails(529, "overloaded_error"), stream(START, STOP)] });
    const response = await it.clock.run(it.post({ stream: true }));
    const text = await it.clock.run(response.text());
    expect(eventNames(text).at(-1)).toBe("message_stop");
    expect(it.records).toMatchObject([{ outcome: "ok", tries: 3 }]);
  });
});

describe("a client that leaves", () => {
  test("in the middle of a stream", async () => {
    const it = timedRig([START, delta("Hi"), 30_000, STOP]);
    const response = await it.clock.run(it.post({ stream: true }));
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await it.clock.run(reader.read());
    expect(it.router.inFlight).toBe(1);
    await reader.cancel();
    await it.clock.advance(0);
    expect(it.providers.asked[0]?.cancelled).toBe(true);
    expect(it.router.inFlight).toBe(0);
    expect(it.records).toMatchObject([{ outcome: "cancelled", usage: { inputTokens: 10 } }]);
    await it.clock.advance(120_000);
    expect(it.clock.pending).toBe(0);
  });

  test("its request's signal does the same", async () => {
    const client = new AbortController();
    const it = timedRig([START, delta("Hi"), 30_000, STOP]);
    const response = await it.clock.run(it.post({ stream: true }, { signal: client.signal }));
    client.abort();
    await it.clock.advance(0);
    await response.body?.cancel().catch(() => undefined);
    expect(it.providers.asked[0]?.signal.aborted).toBe(true);
    expect(it.records).toMatchObject([{ outcome: "cancelled" }]);
    expect(it.router.inFlight).toBe(0);
  });

  test.each([true, false])("before the answer began (stream: %s)", async (streams) => {
    const client = new AbortController();
    const it = rig(hostsConfig(["a", "b"]), { a: [hangs], b: [hangs] });
    const response = it.post({ stream: streams }, { signal: client.signal });
    await it.clock.advance(1_000);
    expect(it.router.inFlight).toBe(1);
    client.abort();
    expect((await it.clock.run(response)).status).toBe(499);
    expect(it.providers.asked).toHaveLength(1);
    expect(it.providers.asked[0]?.signal.aborted).toBe(true);
    expect(it.router.inFlight).toBe(0);
    expect(it.records).toMatchObject([{ outcome: "cancelled", status: 499, usage: null, costUsd: null }]);
    expect(it.clock.pending).toBe(0);
  });

  test("while its stream waits behind pings", async () => {
    const it = rig(hostsConfig(["a"]), { a: [hangs] });
    const response = await it.clock.run(it.post({ stream: true }));
    await it.clock.advance(3_000);
    await response.body?.cancel();
    await it.clock.advance(0);
    expect(it.providers.asked[0]?.signal.aborted).toBe(true);
    expect(it.records).toMatchObject([{ outcome: "cancelled" }]);
    expect(it.clock.pending).toBe(0);
  });

  test("between two tries", async () => {
    const client = new AbortController();
    const it = rig(hostsConfig(["a"]), { a: [fails(500, "api_error")] });
    const response = it.post({}, { signal: client.signal });
    await it.clock.advance(100);
    client.abort();
    expect((await it.clock.run(response)).status).toBe(499);
    expect(it.providers.asked).toHaveLength(1);
  });
});

test("a client that reads slowly does not make the upstream look silent", async () => {
  const it = timedRig([START, delta("a"), delta("b"), STOP]);
  const response = await it.clock.run(it.post({ stream: true }));
  await it.clock.advance(600_000);
  const text = await it.clock.run(response.text());
  expect(text).toBe(START + delta("a") + delta("b") + STOP);
});

import { describe, expect, it } from "vitest";
import type { Client } from "../kit/client.ts";
import { lastOf, script, until } from "../kit/client.ts";

/** Where the stories run: the started product, and what a test must see beyond its API. */
export interface Setting {
  readonly client: () => Client;
  /** How many processes the sessions' engines have started and left behind. */
  readonly leftovers: () => Promise<number>;
}

/** A loop that runs for a minute: the engine refuses a bare sleep. */
export const LONG = "for i in $(seq 600); do sleep 0.1; done";
export const bash = (command: string): Record<string, unknown> => ({
  tool: "Bash",
  input: { command, description: "test" },
});

/** What holds for a session wherever it runs: on this machine and in containers. */
export function sessionStories({ client, leftovers }: Setting): void {
  describe("a session", () => {
    it("reads, edits and commits in a repository of its own, and the edit stays", async () => {
      const first = await client().run({
        prompt: script(bash("git init -q . && printf 'MIT License\\n' > LICENSE && git add . && pwd"), {
          text: "made",
        }),
      });
      const { sessionId } = first;
      const folder = String(first.lines.find((line) => line.type === "tool_result")?.["result"]).trim();
      const file = `${folder}/LICENSE`;
      const steps = script(
        { tool: "Read", input: { file_path: file } },
        { tool: "Edit", input: { file_path: file, old_string: "MIT License", new_string: "MIT Licence, edited" } },
        bash("git diff --stat"),
        { text: "edited" },
      );
      const { lines, last } = await client().run({ prompt: steps, sessionId, maxTurns: 10 });
      expect(last).toMatchObject({ type: "result", result: "edited", sessionId });
      expect(lines.filter((line) => line.type === "tool_result").map((line) => line["isError"])).toEqual([
        false,
        false,
        false,
      ]);
      expect(await client().shell(sessionId, "cat LICENSE && git status --short")).toBe(
        "MIT Licence, edited\nAM LICENSE",
      );
    });

    it("remembers what was said before, also after its engine was replaced", async () => {
      const { sessionId } = await client().run({ prompt: "Remember that my cat is called Schrödinger" });
      const again = await client().run({ prompt: "What did I say before?", sessionId });
      expect(again.text).toContain("Schrödinger");
      // Another limit of turns needs another engine: it resumes the conversation.
      const resumed = await client().run({ prompt: "What did I say before?", sessionId, maxTurns: 7 });
      expect(resumed.text).toContain("Schrödinger");
    });

    it("treats a repository's own settings as data", async () => {
      const hook = [{ hooks: [{ type: "command", command: "touch OWNED" }] }];
      const evil = JSON.stringify({ hooks: { SessionStart: hook, UserPromptSubmit: hook } });
      const { sessionId } = await client().run({
        prompt: script(bash(`mkdir -p .claude && cat > .claude/settings.json <<'X'\n${evil}\nX`), { text: "ok" }),
      });
      await client().run({ prompt: "What is 1 + 1?", sessionId, maxTurns: 9 });
      expect(await client().shell(sessionId, "ls -A . .claude")).toBe(".:\n.claude\n\n.claude:\nsettings.json");
    });
  });

  describe("two prompts at once", () => {
    it("run one after the other in one session", async () => {
      const { sessionId } = await client().run({ prompt: "What is 1 + 1?" });
      const started = async (): Promise<number> =>
        (await client().log(sessionId)).filter((e) => e.type === "run.started").length;
      const [first, second] = await Promise.all([
        client().run({
          prompt: script(bash("for i in 1 2 3; do sleep 0.3; done; echo one >> order"), { text: "first" }),
          sessionId,
        }),
        until(async () => (await started()) === 2, "the first to run").then(() =>
          client().run({ prompt: script(bash("echo two >> order"), { text: "second" }), sessionId }),
        ),
      ]);
      expect([first.last["result"], second.last["result"]]).toEqual(["first", "second"]);
      expect(second.lines[0]).toMatchObject({ status: "queued", position: 1 });
      const events = (await client().log(sessionId)).filter((e) => e.type === "run.started" || e.type === "run.ended");
      expect(events.map((e) => e.type)).toEqual(Array.from({ length: 3 }, () => ["run.started", "run.ended"]).flat());
      expect(await client().shell(sessionId, "cat order")).toBe("one\ntwo");
    });

    it("are listed with their positions, and a queued one can be cancelled", async () => {
      const first = client().stream({ prompt: script(bash(LONG), { text: "never" }) });
      const sessionId = String((await first.next()).value?.["sessionId"]);
      const second = client().run({ prompt: script(bash("echo no >> order"), { text: "no" }), sessionId });
      const third = client().run({ prompt: "What is 8 * 8?", sessionId });
      const runs = async (): Promise<Record<string, unknown>[]> =>
        ((await (await client().fetch(`/v1/sessions/${sessionId}/runs`)).json()) as { data: Record<string, unknown>[] })
          .data;
      await until(async () => (await runs()).length === 3, "three runs");
      const [running, ...waiting] = await runs();
      expect(running).toMatchObject({ state: "running", position: null });
      expect(waiting.map((run) => [run["state"], run["position"]])).toEqual([
        ["queued", 0],
        ["queued", 1],
      ]);
      const log = await client().log(sessionId);
      const unwanted = log.find((e) => e.type === "user.message" && JSON.stringify(e).includes("echo no"))?.run_id;
      const cancel = (run: unknown): Promise<Response> =>
        client().post(`/v1/sessions/${sessionId}/runs/${String(run)}/cancel`, {});
      expect((await cancel(unwanted)).status).toBe(200);
      expect((await second).last).toMatchObject({ type: "error", error: "cancelled" });
      expect((await cancel(running?.["id"])).status).toBe(200);
      expect((await third).text).toContain("64");
      expect((await cancel(unwanted)).status).toBe(404);
      expect(await client().shell(sessionId, "ls -A")).not.toContain("order");
    });

    it("run side by side in two sessions", async () => {
      const both = await Promise.all(
        ["one", "two"].map((name) =>
          client().run({ prompt: script(bash("for i in $(seq 20); do sleep 0.1; done"), { text: name }) }),
        ),
      );
      expect(both.map(({ last }) => last["result"])).toEqual(["one", "two"]);
      const spans = await Promise.all(
        both.map(async ({ sessionId }) => {
          const log = await client().log(sessionId);
          const at = (type: string): number => Date.parse(log.find((e) => e.type === type)?.processed_at ?? "");
          return { from: at("agent.tool_use"), to: at("agent.tool_result") };
        }),
      );
      const [a, b] = spans as [{ from: number; to: number }, { from: number; to: number }];
      expect(Math.max(a.from, b.from)).toBeLessThan(Math.min(a.to, b.to));
    });
  });

  describe("an interrupt", () => {
    it.each([
      ["a command that runs", script(bash(LONG), { text: "never" }), "agent.tool_use"],
      ["a text that streams", script({ text: "word ".repeat(400), chunk: 5, chunkMs: 100 }), "event_delta"],
      [
        "a background task",
        script(
          { tool: "Bash", input: { command: LONG, run_in_background: true } },
          { text: "word ".repeat(400), chunk: 5, chunkMs: 100 },
        ),
        "event_delta",
      ],
    ])("ends %s in seconds and leaves no process behind", async (_name, prompt, reached) => {
      const events = client().stream({ prompt });
      const first = await events.next();
      const sessionId = String(first.value?.["sessionId"]);
      await client().untilLog(sessionId, (log) => log.some((e) => e.type === reached), "the run to get going");
      const sentAt = performance.now();
      const response = await client().post(`/v1/sessions/${sessionId}/events`, {
        events: [{ type: "user.interrupt" }],
      });
      expect(await response.json()).toEqual({ data: [{ type: "user.interrupt", interrupted: true }] });
      let last = first.value;
      for await (const line of events) last = line;
      expect(last).toMatchObject({ type: "error", error: "interrupted" });
      expect(performance.now() - sentAt).toBeLessThan(30_000);
      await until(async () => (await leftovers()) === 0, "its processes to be gone");
      const after = await client().run({ prompt: "What is 3 * 3?", sessionId });
      expect(after.text).toContain("9");
    });

    it("of a session in which nothing runs does nothing", async () => {
      const { sessionId } = await client().run({ prompt: "What is 1 + 1?" });
      const response = await client().post(`/v1/sessions/${sessionId}/events`, {
        events: [{ type: "user.interrupt" }],
      });
      expect(await response.json()).toEqual({ data: [{ type: "user.interrupt", interrupted: false }] });
    });
  });

  describe("the log", () => {
    it("is gap-free, and every reader sees the same from any position", async () => {
      const { sessionId } = await client().run({
        prompt: script({ text: "abcdefghij", chunk: 2, chunkMs: 30 }, { text: "x" }),
      });
      const log = await client().untilLog(
        sessionId,
        (events) => lastOf(events)?.type === "session.status_idle",
        "idle",
      );
      expect(log.map((e) => e.seq)).toEqual(log.map((_, i) => i + 1));
      const middle = Math.floor(log.length / 2);
      const response = await client().fetch(`/v1/sessions/${sessionId}/events/stream?event_deltas=true`, {
        headers: { "last-event-id": String(middle) },
      });
      const seen: unknown[] = [];
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; seen.length < log.length - middle;) {
        const { value, done } = (await reader?.read()) ?? { done: true };
        if (done) break;
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) seen.push(JSON.parse(/^data: (.*)$/m.exec(block)?.[1] ?? "null"));
      }
      await reader?.cancel();
      expect(seen).toEqual(log.slice(middle));
    });

    it("keeps a prompt of nine megabytes whole, also when no model can read it", async () => {
      const prompt = "ä".repeat(4_500_000);
      const { last, sessionId } = await client().run({ prompt });
      expect(last).toMatchObject({ type: "error", error: "prompt_too_long" });
      const sent = (await client().log(sessionId)).find((e) => e.type === "user.message");
      expect(sent).toMatchObject({ content: [{ text: prompt }] });
    });
  });

  describe("what fails upstream", () => {
    it.each([
      ["429", { fail: { status: 429, retryAfter: 1 } }, 429],
      ["500", { fail: { status: 500 } }, 500],
    ])("%s becomes an error that keeps the upstream's status apart", async (_name, step, upstreamStatus) => {
      const response = await client().post("/claude-code", {
        prompt: `${Math.random()} ${script(step)}`,
        stream: false,
      });
      const body = await response.json();
      expect([response.status, body]).toMatchObject([502, { type: "error", error: "upstream_error", upstreamStatus }]);
    });

    it("a limit of turns is reported", async () => {
      const { last } = await client().run({
        prompt: script(bash("echo 1"), bash("echo 2"), bash("echo 3"), { text: "no" }),
        maxTurns: 2,
      });
      expect(last).toMatchObject({ type: "error", error: "max_turns" });
    });
  });
}

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { script } from "../kit/client.ts";
import { LONG, bash } from "../stories/sessions.ts";
import { Cloud, ENCRYPTION_KEY, PROVIDER_KEY } from "./cloud.ts";

/** What is true of containers alone: their life, their way out, and what is not in them. */

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.start();
});
afterAll(() => cloud.stop());

describe("a container", () => {
  it("is started by the first prompt, and the next one finds it", async () => {
    const first = await cloud.run({ prompt: "What is 7 * 6?" });
    expect(first.last).toMatchObject({ type: "result", result: "7 * 6 = 42" });
    const container = await cloud.container(first.sessionId);
    expect(container).not.toBeNull();
    const second = await cloud.run({ prompt: "What is 6 * 6?", sessionId: first.sessionId });
    expect(second.text).toContain("36");
    expect(await cloud.container(first.sessionId)).toBe(container);
  });

  it("is one a session: two at once do not see each other", async () => {
    const both = await Promise.all(
      ["one", "two"].map((name) =>
        cloud.run({ prompt: script(bash(`echo ${name} > mine; ls /workspace; ls /session`), { text: name }) }),
      ),
    );
    const [one, two] = both.map(({ sessionId }) => sessionId) as [string, string];
    expect(await cloud.container(one)).not.toBe(await cloud.container(two));
    expect(await cloud.shell(one, "cat mine; pwd")).toBe("one\n/workspace");
    expect(await cloud.shell(two, "cat mine; pwd")).toBe("two\n/workspace");
  });

  it("that is lost in mid-run ends the run as lost, once, and the session goes on in a new one", async () => {
    const events = cloud.stream({ prompt: script(bash(`echo before > file; ${LONG}`), { text: "never" }) });
    const sessionId = String((await events.next()).value?.["sessionId"]);
    await cloud.untilLog(sessionId, (log) => log.some((e) => e.type === "agent.tool_use"), "the run to get going");
    await cloud.kill(sessionId);
    let last;
    for await (const line of events) last = line;
    expect(last).toMatchObject({ type: "error", error: "sandbox_lost" });
    expect((await cloud.log(sessionId)).filter((e) => e.type === "run.ended")).toHaveLength(1);
    const after = await cloud.run({ prompt: "What is 3 * 3?", sessionId });
    expect(after.text).toContain("9");
  });

  it("that is taken away says so before it goes", async () => {
    const events = cloud.stream({ prompt: script(bash(LONG), { text: "never" }) });
    const sessionId = String((await events.next()).value?.["sessionId"]);
    await cloud.untilLog(sessionId, (log) => log.some((e) => e.type === "agent.tool_use"), "the run to get going");
    await cloud.terminate(sessionId);
    let last;
    for await (const line of events) last = line;
    expect(last).toMatchObject({ type: "error", error: "server_stopped" });
  });

  it("sleeps while it is not used; the next one has its files and its memory", async () => {
    const environment = (await (
      await cloud.post("/v1/environments", { name: "short", metadata: { sleep_after_minutes: "0.05" } })
    ).json()) as { id: string };
    const session = (await (await cloud.post("/v1/sessions", { environment_id: environment.id })).json()) as {
      id: string;
    };
    const sessionId = session.id;
    await cloud.run({ prompt: "Remember that my cat is called Schrödinger", sessionId });
    await cloud.run({
      prompt: script(bash("mkdir -p deep/er && echo kept > deep/er/file && ln -s deep/er/file link"), { text: "ok" }),
      sessionId,
    });
    const first = await cloud.container(sessionId);
    await cloud.untilStopped(sessionId);
    expect((await cloud.run({ prompt: "What did I say before?", sessionId })).text).toContain("Schrödinger");
    expect(await cloud.shell(sessionId, "cat link; ls -A")).toBe("kept\ndeep\nlink");
    expect(await cloud.container(sessionId)).not.toBe(first);
  });

  it("that is lost between two runs costs nothing: files and memory are there in the next one", async () => {
    const { sessionId } = await cloud.run({ prompt: "Remember that my cat is called Schrödinger" });
    await cloud.run({ prompt: script(bash("echo kept > file"), { text: "ok" }), sessionId });
    await cloud.untilLog(
      sessionId,
      (log) =>
        log.findLastIndex((e) => e.type === "workspace.snapshot") > log.findLastIndex((e) => e.type === "run.ended"),
      "the files to be saved",
    );
    await cloud.kill(sessionId);
    expect((await cloud.run({ prompt: "What did I say before?", sessionId })).text).toContain("Schrödinger");
    expect(await cloud.shell(sessionId, "cat file")).toBe("kept");
  });

  it("ends with its session", async () => {
    const { sessionId } = await cloud.run({ prompt: "What is 1 + 1?" });
    expect((await cloud.fetch(`/v1/sessions/${sessionId}`, { method: "DELETE" })).status).toBe(200);
    await cloud.untilStopped(sessionId);
  });
});

describe("the way out of a container", () => {
  const curl = (url: string): string => `curl -sS -m 10 -o /dev/null -w '%{http_code}' ${url} 2>/dev/null`;

  it("is closed for a session without an environment, and attempts are in the log", async () => {
    const tries = [
      curl("http://example.com/"),
      curl("https://example.com/"),
      curl("https://api.anthropic.com/v1/models"),
      curl("http://10.0.0.1/"),
      curl("http://169.254.169.254/latest/meta-data/"),
    ];
    const { sessionId, lines } = await cloud.run({
      prompt: script(
        bash(tries.join("; echo; ")),
        bash("echo | timeout 3 bash -c 'cat > /dev/tcp/1.1.1.1/53' && echo out"),
        {
          text: "ok",
        },
      ),
      maxTurns: 9,
    });
    const [web, raw] = lines.filter((line) => line.type === "tool_result");
    expect(String(web?.["result"]).split("\n")).toEqual(["403", "403", "403", "403", "403"]);
    expect(String(raw?.["result"])).not.toContain("out\n");
    const blocked = (await cloud.log(sessionId)).filter((e) => e.type === "sandbox.egress_blocked");
    expect(blocked.map((e) => (e as { host?: string }).host)).toEqual([
      "example.com",
      "api.anthropic.com",
      "10.0.0.1",
      "169.254.169.254",
    ]);
    expect(blocked[0]).toMatchObject({ method: "GET", run_id: expect.stringMatching(/^run_/) as unknown });
  });

  it("is open for what the environment lists, and for nothing else", async () => {
    const environment = (await (
      await cloud.post("/v1/environments", {
        name: "listed",
        config: { type: "cloud", networking: { type: "limited", allowed_hosts: ["listed.example.invalid"] } },
      })
    ).json()) as { id: string };
    const session = (await (await cloud.post("/v1/sessions", { environment_id: environment.id })).json()) as {
      id: string;
    };
    const tries = [curl("https://listed.example.invalid/"), curl("https://other.example.invalid/")].join("; echo; ");
    const [listed, other] = (await cloud.shell(session.id, tries)).split("\n");
    // The host does not exist: the request was let out and reached no server.
    expect(listed).toMatch(/^5\d\d$/);
    expect(other).toBe("403");
  });

  it("knows the session by itself: what opens the models in there opens nothing elsewhere", async () => {
    const { sessionId, lines } = await cloud.run({
      prompt: script(
        bash(
          `curl -sS -m 20 http://models.internal/v1/messages -H 'content-type: application/json' -d '{"model":"demo/scripted","max_tokens":20,"messages":[{"role":"user","content":"What is 7 * 6?"}]}'; echo; ${curl("http://models.internal/v1/sessions")}`,
        ),
        { text: "ok" },
      ),
    });
    const result = String(lines.find((line) => line.type === "tool_result")?.["result"]);
    expect(result).toContain("7 * 6 = 42");
    expect(result.split("\n").at(-1)).toBe("404");
    const environment = await cloud.shell(sessionId, "printenv ANTHROPIC_AUTH_TOKEN ANTHROPIC_BASE_URL");
    const [token, url] = environment.split("\n");
    expect(url).toBe("http://models.internal");
    const outside = await fetch(`${cloud.url}/v1/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: "{}",
    });
    expect(outside.status).toBe(401);
  });
});

describe("no key", () => {
  it("is in a container: not in its files, environments or arguments", async () => {
    const { sessionId } = await cloud.run({ prompt: script(bash("echo hi > file"), { text: "ok" }) });
    const wanted = [PROVIDER_KEY, ENCRYPTION_KEY.slice(5), cloud.key, `gst_${sessionId}`];
    // Written so that the search does not find itself.
    const patterns = wanted.map((text) => `-e '${text.slice(0, -1)}[${text.slice(-1)}]'`).join(" ");
    const folders = "/workspace /session /app /home /root /tmp /etc /var /run /opt /usr/local";
    expect(await cloud.exec(sessionId, `grep -rsl ${patterns} ${folders}; true`, "root")).toBe("");
    // As the agent's user: another one's processes not even root may read in a container.
    const inProc = await cloud.exec(sessionId, `grep -sal ${patterns} /proc/[0-9]*/environ /proc/[0-9]*/cmdline; true`);
    expect(inProc).toBe("");
    // Nor what opens the runner: all but what this look itself has started, which gets the container's own environment.
    const names = await cloud.exec(
      sessionId,
      "for p in $(ls /proc | grep -x '[0-9]*'); do [ $p = $$ ] || grep -qs \"PPid:.$$\" /proc/$p/status || tr '\\0' '\\n' 2>/dev/null < /proc/$p/environ | cut -d= -f1; done | sort -u",
    );
    expect(names.split("\n")).toContain("ANTHROPIC_BASE_URL");
    expect(names.split("\n")).not.toContain("GANTRY_TOKEN");
  });

  it("and nothing of ours there is the agent's to change", async () => {
    const { sessionId } = await cloud.run({
      prompt: script(bash("id -u; touch /app/x /usr/bin/x; true"), { text: "ok" }),
    });
    expect(await cloud.exec(sessionId, "find /app /usr /etc -writable -not -type l | head -5")).toBe("");
    expect(await cloud.exec(sessionId, "id -u")).toBe("10001");
  });
});

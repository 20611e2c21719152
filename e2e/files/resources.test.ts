import type Anthropic from "@anthropic-ai/sdk";
import { toFile } from "@anthropic-ai/sdk";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";
import { startGitServer } from "../kit/git-server.ts";
import type { GitServer } from "../kit/git-server.ts";

/** Files and repositories of a session, mounted for the real engine, and the files it leaves. */

let gantry: Gantry;
let git: GitServer;
let client: Anthropic;
let environment_id: string;
let agent: string;

beforeAll(async () => {
  git = await startGitServer();
  gantry = await Gantry.start({ GANTRY_TRUSTED_GIT_HOSTS: git.host, GANTRY_PERMISSION_MODE: "bypassPermissions" });
  client = clientOf(gantry);
  environment_id = (await client.beta.environments.create({ name: "here" })).id;
  agent = (
    await client.beta.agents.create({
      name: "Helper",
      model: "demo/scripted",
      tools: [{ type: "agent_toolset_20260401" }],
    })
  ).id;
});
afterAll(async () => {
  await gantry.remove();
  await git.close();
});
beforeEach(() => {
  git.requests.length = 0;
  git.password = "right-password";
  git.intercept = () => null;
});

type Resources = NonNullable<Anthropic.Beta.Sessions.SessionCreateParams["resources"]>;
const create = (resources: Resources) => client.beta.sessions.create({ agent, environment_id, resources });
const bash = (command: string) => ({ tool: "Bash", input: { command } });
const upload = async (text: string, name: string) =>
  client.beta.files.upload({ file: await toFile(Buffer.from(text), name) });

/** Runs a script in a session and returns what its tools answered, and how the run ended. */
async function run(id: string, ...steps: Record<string, unknown>[]) {
  const before = (await gantry.log(id)).length;
  const content = [{ type: "text" as const, text: script(...steps, { text: "done" }) }];
  await client.beta.sessions.events.send(id, { events: [{ type: "user.message", content }] });
  const events = await gantry.untilLog(id, (log) => log.slice(before).some((e) => e.type === "run.ended"), "the end");
  const mine = events.slice(before);
  const results = mine.flatMap((event) =>
    event.type === "agent.tool_result"
      ? [event.content.map((block) => (block.type === "text" ? block.text : "")).join("")]
      : [],
  );
  const ended = mine.find((event) => event.type === "run.ended");
  return { events: mine, results, ended };
}

const mntOf = (id: string) => join(gantry.state, "sandboxes", id, "mnt");

describe("files", () => {
  it("are mounted where they say, read-only, one in many sessions, and the engine reads them", async () => {
    const file = await upload("a,b\n1,2\n", "data.csv");
    const sessions = [];
    for (let i = 0; i < 2; i++)
      sessions.push(
        await create([
          { type: "file", file_id: file.id },
          { type: "file", file_id: file.id, mount_path: "/workspace/in/data.csv" },
        ]),
      );
    for (const session of sessions) {
      expect(session.resources).toMatchObject([
        { type: "file", file_id: file.id, mount_path: `/mnt/session/uploads/${file.id}` },
        { type: "file", file_id: file.id, mount_path: "/workspace/in/data.csv" },
      ]);
      const mounted = join(mntOf(session.id), "session", "uploads", file.id);
      const { results } = await run(
        session.id,
        { tool: "Read", input: { file_path: mounted } },
        bash("cat in/data.csv"),
      );
      expect(results[0]).toContain("1,2");
      expect(results[1]).toBe("a,b\n1,2");
      for (const path of [mounted, join(gantry.workspace(session.id), "in", "data.csv")])
        expect(statSync(path).mode & 0o777).toBe(0o444);
    }
  });

  it("are added to a session, listed in pages, retrieved and deleted", async () => {
    const [one, two] = [await upload("one", "one.txt"), await upload("two", "two.txt")];
    const session = await create([{ type: "file", file_id: one.id, mount_path: "/workspace/one.txt" }]);
    await run(session.id, bash("ls"));
    const added = await client.beta.sessions.resources.add(session.id, {
      type: "file",
      file_id: two.id,
      mount_path: "/workspace/deep/er/two.txt",
    });
    expect(await client.beta.sessions.resources.retrieve(added.id, { session_id: session.id })).toEqual(added);
    const listed = [];
    for await (const each of client.beta.sessions.resources.list(session.id, { limit: 1 })) listed.push(each);
    expect(listed.map((each) => "id" in each && each.id)).toEqual([
      added.id,
      ...session.resources.map((r) => "id" in r && r.id),
    ]);
    expect((await run(session.id, bash("cat deep/er/two.txt one.txt"))).results).toEqual(["twoone"]);

    const first = session.resources[0];
    if (!first || !("id" in first)) throw new Error("no resource");
    expect(await client.beta.sessions.resources.delete(first.id, { session_id: session.id })).toEqual({
      id: first.id,
      type: "session_resource_deleted",
    });
    await run(session.id, bash("ls"));
    expect(existsSync(join(gantry.workspace(session.id), "one.txt"))).toBe(false);
    expect(existsSync(join(gantry.workspace(session.id), "deep", "er", "two.txt"))).toBe(true);
    const { data } = (await (await gantry.fetch("/v1/audit?limit=2")).json()) as {
      data: { action: string; target: string }[];
    };
    expect(data.map(({ action, target }) => [action, target])).toEqual([
      ["resource.delete", first.id],
      ["resource.create", added.id],
    ]);
  });

  it("come back when their path is gone, and the agent's changes to them stay", async () => {
    const file = await upload("original", "x.txt");
    const session = await create([{ type: "file", file_id: file.id, mount_path: "/workspace/x.txt" }]);
    const first = await run(session.id, bash("cat x.txt; chmod +w x.txt; printf changed > x.txt"));
    expect(first.events.map((event) => event.type)).toContain("resource.mounted");
    const second = await run(session.id, bash("cat x.txt; rm -f x.txt"));
    expect(second.results).toEqual(["changed"]);
    expect(second.events.map((event) => event.type)).not.toContain("resource.mounted");
    expect((await run(session.id, bash("cat x.txt"))).results).toEqual(["original"]);
  });

  it("that are gone end the run before the engine is asked, with a typed error; the next prompt tries again", async () => {
    const file = await upload("here", "x.txt");
    const session = await create([{ type: "file", file_id: file.id, mount_path: "/workspace/x.txt" }]);
    await client.beta.files.delete(file.id);
    const { events, ended } = await run(session.id, bash("touch asked"));
    expect(ended).toMatchObject({ outcome: "failed", error: { type: "resource_unavailable" } });
    const resource = session.resources[0];
    expect(events.find((event) => event.type === "session.error")).toMatchObject({
      error: { resource_id: resource && "id" in resource && resource.id, retry_status: { type: "exhausted" } },
    });
    expect(existsSync(join(gantry.workspace(session.id), "asked"))).toBe(false);
    await client.beta.sessions.resources.delete(resource && "id" in resource ? resource.id : "", {
      session_id: session.id,
    });
    expect((await run(session.id, bash("echo works"))).results).toEqual(["works"]);
  });

  it("are not mounted through a link that the agent made", async () => {
    const file = await upload("secret", "x.txt");
    const session = await create([]);
    const outside = join(gantry.state, "outside");
    await run(session.id, bash(`mkdir -p ${outside}; ln -s ${outside} trap`));
    await client.beta.sessions.resources.add(session.id, {
      type: "file",
      file_id: file.id,
      mount_path: "/workspace/trap/x.txt",
    });
    expect((await run(session.id, bash("ls"))).ended).toMatchObject({ error: { type: "resource_unavailable" } });
    expect(readdirSync(outside)).toEqual([]);
  });
});

describe("repositories", () => {
  it("are cloned, a branch or a commit of them, and the engine works in them", async () => {
    const first = git.make("tool", { "main.txt": "on main" });
    git.change("tool", ["checkout", "-q", "-b", "other"], ["commit", "-q", "--allow-empty", "-m", "second"]);
    const url = `http://${git.host}/tool.git`;
    const session = await create([
      { type: "github_repository", url },
      { type: "github_repository", url, mount_path: "/workspace/branch", checkout: { type: "branch", name: "other" } },
      { type: "github_repository", url, mount_path: "/mnt/commit", checkout: { type: "commit", sha: first } },
    ]);
    expect(session.resources).toMatchObject([
      { type: "github_repository", url, mount_path: "/workspace/tool", checkout: null },
      { mount_path: "/workspace/branch", checkout: { type: "branch", name: "other" } },
      { mount_path: "/mnt/commit", checkout: { type: "commit", sha: first } },
    ]);
    const { results, events } = await run(
      session.id,
      bash("cat tool/main.txt; git -C tool status --short --branch"),
      bash("git -C branch log -1 --format=%s"),
      bash(`git -C ${join(mntOf(session.id), "commit")} rev-parse HEAD`),
      bash("git -C tool config remote.origin.url"),
    );
    expect(results).toEqual(["on main## main...origin/main", "second", first, url]);
    expect(events.filter((event) => event.type === "resource.mounted")).toHaveLength(3);
    expect(events.findIndex((event) => event.type === "resource.mounting")).toBeLessThan(
      events.findIndex((event) => event.type === "span.model_request_start"),
    );
  });

  it("with a credential are cloned and fetched by the agent, which never sees it and cannot push", async () => {
    git.make("private-tool", { "a.txt": "one" });
    const url = `http://${git.host}/private-tool.git`;
    const session = await create([{ type: "github_repository", url, authorization_token: git.password }]);
    expect((await run(session.id, bash("cat private-tool/a.txt"))).results).toEqual(["one"]);
    git.change("private-tool", ["commit", "-q", "--allow-empty", "-m", "later"]);
    const { results } = await run(
      session.id,
      bash("git -C private-tool pull -q && git -C private-tool log -1 --format=%s"),
      bash("git -C private-tool push origin HEAD:refs/heads/x 2>&1 | tail -1; true"),
      bash("env; cat private-tool/.git/config; git -C private-tool config --list"),
    );
    expect(results[0]).toBe("later");
    expect(results[1]).toContain("403");
    expect(results[2]).toContain(url);
    // Nowhere: not in what the engine sees, not in an event, not in the answers, not in any file of the installation.
    const everything = [
      ...results,
      JSON.stringify(await gantry.log(session.id)),
      JSON.stringify(await client.beta.sessions.retrieve(session.id)),
      gantry.output,
    ];
    for (const text of everything) expect(text).not.toContain(git.password);
    const grep = execFileSync("sh", ["-c", `grep -rlF ${git.password} ${gantry.state} || true`], { encoding: "utf8" });
    expect(grep).toBe("");
    expect(git.requests.filter((request) => request.path.includes("receive-pack"))).toEqual([]);
  });

  it.each([
    ["a wrong credential", "private-x", "repository_authentication_error"],
    ["a name that is none", "nothing", "repository_not_found_error"],
    ["a host that refuses", "forbidden", "repository_forbidden_error"],
    ["a branch that is none", "tool", "repository_checkout_error"],
  ])("%s ends the run with %s: %s", async (_what, name, type) => {
    if (name === "private-x") git.make(name, { a: "" });
    if (name === "forbidden") git.intercept = () => ({ status: 403 });
    const url = `http://${git.host}/${name}.git`;
    const session = await create([
      {
        type: "github_repository",
        url,
        authorization_token: "wrong-password",
        checkout: { type: "branch", name: name === "tool" ? "nowhere" : "main" },
      },
    ]);
    const { events, ended } = await run(session.id, bash("touch asked"));
    expect(ended).toMatchObject({ outcome: "failed", error: { type: "resource_unavailable" } });
    expect(events.find((event) => event.type === "session.error")).toMatchObject({
      error: { type, repository_url: url },
    });
    expect(JSON.stringify(events)).not.toContain("wrong-password");
    expect(readdirSync(gantry.workspace(session.id))).toEqual([]);
  });

  it("get another credential, after which the next prompt goes through", async () => {
    git.make("private-y", { "a.txt": "y" });
    const session = await create([
      { type: "github_repository", url: `http://${git.host}/private-y`, authorization_token: "old" },
    ]);
    expect((await run(session.id, bash("ls"))).ended).toMatchObject({ error: { type: "resource_unavailable" } });
    const resource = session.resources[0];
    if (!resource || !("id" in resource)) throw new Error("no resource");
    const updated = await client.beta.sessions.resources.update(resource.id, {
      session_id: session.id,
      authorization_token: git.password,
    });
    expect(JSON.stringify(updated)).not.toContain(git.password);
    expect((await run(session.id, bash("cat private-y/a.txt"))).results).toEqual(["y"]);
  });

  it("are found after a move on the same host; a credential does not follow to another", async () => {
    git.make("moved", { "a.txt": "moved" });
    git.intercept = (path) =>
      path.startsWith("/before.git") ? { status: 301, location: path.replace("/before.git", "/moved.git") } : null;
    const same = await create([{ type: "github_repository", url: `http://${git.host}/before.git` }]);
    expect((await run(same.id, bash("cat before/a.txt"))).results).toEqual(["moved"]);
    const other = await startGitServer();
    git.intercept = () => ({
      status: 302,
      location: `http://${other.host}/moved.git/info/refs?service=git-upload-pack`,
    });
    const away = await create([
      { type: "github_repository", url: `http://${git.host}/away.git`, authorization_token: "secret" },
    ]);
    expect((await run(away.id, bash("ls"))).ended).toMatchObject({ error: { type: "resource_unavailable" } });
    expect(other.requests).toEqual([]);
    await other.close();
  });

  it("that are slow can be interrupted", async () => {
    const session = await create([{ type: "github_repository", url: `http://${git.host}/slow.git` }]);
    let asked = false;
    git.intercept = () => {
      asked = true;
      // Neither an answer nor an end.
      return { status: 100 };
    };
    const content = [{ type: "text" as const, text: "hello" }];
    await client.beta.sessions.events.send(session.id, { events: [{ type: "user.message", content }] });
    await until(() => asked, "the clone to begin");
    await client.beta.sessions.events.send(session.id, { events: [{ type: "user.interrupt" }] });
    const events = await gantry.untilLog(session.id, (log) => log.some((e) => e.type === "run.ended"), "the end");
    expect(events.find((event) => event.type === "run.ended")).toMatchObject({ outcome: "interrupted" });
    await until(() => gantry.processes().child.length === 0, "git to be gone");
  });
});

describe("a new sandbox", () => {
  it("has the files again, and the repository as the agent left it", async () => {
    git.make("kept", { "a.txt": "a" });
    const file = await upload("read me", "x.txt");
    const session = await create([
      { type: "file", file_id: file.id },
      { type: "github_repository", url: `http://${git.host}/kept.git` },
    ]);
    await run(session.id, bash("printf changed > kept/a.txt"));
    await gantry.untilLog(session.id, (log) => log.some((event) => event.type === "workspace.snapshot"), "a snapshot");
    await gantry.stop();
    rmSync(join(gantry.state, "sandboxes"), { recursive: true });
    await gantry.start(gantry.port);
    git.requests.length = 0;
    const mounted = join(mntOf(session.id), "session", "uploads", file.id);
    const { results, ended } = await run(
      session.id,
      bash(`cat kept/a.txt ${mounted}; git -C kept fetch -q && echo fetched`),
    );
    expect([ended && "outcome" in ended && ended.outcome, results]).toEqual(["succeeded", ["changedread mefetched"]]);
    // Fetched by the agent; nothing was cloned again.
    expect(git.requests.filter(({ method }) => method === "GET")).toHaveLength(1);
  });
});

describe("what is refused", () => {
  const file = { type: "file" as const, file_id: "file_0000000000000000000000000000000000000" };
  const repository = { type: "github_repository" as const, url: "https://github.com/owner/repo" };

  it.each<[string, Resources, string]>([
    ["an unknown file", [file], "File"],
    ["a path that climbs", [{ ...repository, mount_path: "/workspace/../x" }], "resources[0].mount_path"],
    ["a path elsewhere", [{ ...repository, mount_path: "/etc/x" }], "resources[0].mount_path"],
    ["the outputs", [{ ...repository, mount_path: "/mnt/session/outputs" }], "resources[0].mount_path"],
    ["a .git folder", [{ ...repository, mount_path: "/workspace/.git/hooks" }], "resources[0].mount_path"],
    ["one path twice", [repository, repository], "resources[1].mount_path"],
    [
      "a repository in another",
      [repository, { ...repository, mount_path: "/workspace/repo/x" }],
      "resources[1].mount_path",
    ],
    ["a loopback address", [{ ...repository, url: "https://127.0.0.1/x" }], "resources[0].url"],
    ["another protocol", [{ ...repository, url: "ssh://github.com/a/b" }], "resources[0].url"],
    ["a credential in the address", [{ ...repository, url: "https://a:b@github.com/a/b" }], "resources[0].url"],
    [
      "an option as a branch",
      [{ ...repository, checkout: { type: "branch", name: "--upload-pack=x" } }],
      "resources[0].checkout.name",
    ],
    ["half a commit", [{ ...repository, checkout: { type: "commit", sha: "abc" } }], "resources[0].checkout.sha"],
    [
      "a credential with a line end",
      [{ ...repository, authorization_token: "a\nb" }],
      "resources[0].authorization_token",
    ],
    ["a memory store", [{ type: "memory_store", memory_store_id: "x" }], "resources[0].type"],
  ])("%s", async (_name, resources, says) => {
    await expect(create(resources)).rejects.toThrow(says);
  });

  it("another session's token, and a key, at the sandbox's doors", async () => {
    const mine = await upload("mine", "x");
    const session = await create([{ type: "file", file_id: mine.id }]);
    const other = await create([]);
    await run(session.id, bash("ls"));
    const { results } = await run(other.id, bash('echo "$ANTHROPIC_AUTH_TOKEN"'));
    const ask = (path: string, token: string) =>
      fetch(gantry.url + path, { headers: { authorization: `Bearer ${token}` } }).then((response) => response.status);
    expect(await ask(`/sandbox/files/${mine.id}`, results[0] ?? "")).toBe(404);
    expect(await ask(`/sandbox/files/${mine.id}`, gantry.key)).toBe(401);
    const resource = session.resources[0];
    expect(await ask(`/sandbox/git/${resource && "id" in resource && resource.id}/info/refs`, results[0] ?? "")).toBe(
      404,
    );
  });
});

describe("what the agent leaves", () => {
  it("is a file of the session when the run has ended; a change of it is another", async () => {
    const session = await create([]);
    const outputs = join(mntOf(session.id), "session", "outputs");
    const { events } = await run(
      session.id,
      bash(
        `mkdir -p ${outputs}/charts; printf report > ${outputs}/report.md; printf chart > ${outputs}/charts/a.csv; ln -s /etc/passwd ${outputs}/link`,
      ),
    );
    const left = events.filter((event) => event.type === "session.output");
    expect(left.map((event) => event.filename)).toEqual(["a.csv", "report.md"]);
    const { data } = await client.beta.files.list({ scope_id: session.id });
    expect(data.map(({ filename, size_bytes, scope }) => [filename, size_bytes, scope?.id])).toEqual([
      ["report.md", 6, session.id],
      ["a.csv", 5, session.id],
    ]);
    expect(await (await client.beta.files.download(data[0]?.id ?? "")).text()).toBe("report");
    expect((await run(session.id, bash("ls"))).events.filter((event) => event.type === "session.output")).toEqual([]);
    await run(session.id, bash(`printf 'report 2' > ${outputs}/report.md`));
    const again = await client.beta.files.list({ scope_id: session.id });
    expect(again.data.map(({ filename, size_bytes }) => [filename, size_bytes])).toEqual([
      ["report.md", 8],
      ["report.md", 6],
      ["a.csv", 5],
    ]);
    // The agent may be told about files that it can read.
    expect(readFileSync(join(outputs, "report.md"), "utf8")).toBe("report 2");
  });
});

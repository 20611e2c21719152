import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Uint8ArrayReader, Uint8ArrayWriter, ZipReader } from "@zip.js/zip.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, script, until } from "../kit/gantry.ts";

/** A session's files from outside: read, written, compared, packed, forked and turned back. */

let gantry: Gantry;
let scratch: string;
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "gantry-workspace-"));
  gantry = await Gantry.start({ GANTRY_PERMISSION_MODE: "bypassPermissions" });
});
afterAll(async () => {
  await gantry.remove();
  rmSync(scratch, { recursive: true, force: true });
});

const bash = (command: string): Record<string, unknown> => ({ tool: "Bash", input: { command } });
const done = { text: "done" };

async function json(path: string, init?: RequestInit): Promise<unknown> {
  const response = await gantry.fetch(path, init);
  const body: unknown = await response.json();
  if (!response.ok) throw new Error(`${response.status} ${JSON.stringify(body)}`);
  return body;
}

async function runIds(sessionId: string): Promise<string[]> {
  const { data } = (await json(`/v1/sessions/${sessionId}/runs`)) as { data: { id: string }[] };
  return data.map((run) => run.id);
}

interface Listed {
  data: { path: string; type: string; size: number | null; mode: string | null; target: string | null; etag: string }[];
  next_page: string | null;
}
const list = async (sessionId: string, query = ""): Promise<Listed> =>
  (await json(`/v1/sessions/${sessionId}/files?${query}`)) as Listed;

describe("a workspace that is looked at", () => {
  let sessionId: string;
  beforeAll(async () => {
    const prompt = script(
      bash(
        "mkdir -p 'src/ünï' empty && printf 'one\\ntwo\\nthree\\n' > src/a.txt && printf x > src-b && chmod 755 src-b",
      ),
      bash("ln -s a.txt src/link && printf deep > 'src/ünï/d e' && head -c 3000000 /dev/urandom > big"),
      done,
    );
    ({ sessionId } = await gantry.run({ prompt }));
  });

  it("lists a folder, all below it, and in parts", async () => {
    expect((await list(sessionId)).data.map((entry) => `${entry.type} ${entry.path}`)).toEqual([
      "file big",
      "directory empty",
      "directory src",
      "file src-b",
    ]);
    const all = (await list(sessionId, "recursive=true")).data.map((entry) => entry.path);
    expect(all).toEqual(["big", "empty", "src", "src-b", "src/a.txt", "src/link", "src/ünï", "src/ünï/d e"]);
    expect((await list(sessionId, "path=src/")).data.map((entry) => [entry.path, entry.target])).toEqual([
      ["src/a.txt", null],
      ["src/link", "a.txt"],
      ["src/ünï", null],
    ]);
    const parts: string[] = [];
    for (let page: string | null = ""; page !== null;) {
      const query = new URLSearchParams({ recursive: "true", limit: "3", ...(page === "" ? {} : { page }) });
      const part: Listed = await list(sessionId, query.toString());
      parts.push(...part.data.map((entry) => entry.path));
      page = part.next_page;
    }
    expect(parts).toEqual(all);
    expect((await list(sessionId)).data.find((entry) => entry.path === "src-b")).toMatchObject({
      mode: "755",
      size: 1,
    });
  });

  it("gives a file with its tag, a range of it, and says when it has not changed", async () => {
    const path = `/v1/sessions/${sessionId}/files/src/a.txt`;
    const first = await gantry.fetch(path);
    expect(await first.text()).toBe("one\ntwo\nthree\n");
    expect(first.headers.get("content-disposition")).toMatch(/^attachment/);
    const etag = first.headers.get("etag") ?? "";
    expect((await gantry.fetch(path, { headers: { "if-none-match": etag } })).status).toBe(304);
    const part = await gantry.fetch(path, { headers: { range: "bytes=4-6" } });
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 4-6/14", "two"]);
    expect((await gantry.fetch(path, { headers: { range: "bytes=99-" } })).status).toBe(416);
    const big = new Uint8Array(await (await gantry.fetch(`/v1/sessions/${sessionId}/files/big`)).arrayBuffer());
    expect(big).toEqual(new Uint8Array(readFileSync(join(gantry.workspace(sessionId), "big"))));
    const range = await gantry.fetch(`/v1/sessions/${sessionId}/files/big`, {
      headers: { range: "bytes=1048570-2097160" },
    });
    expect(new Uint8Array(await range.arrayBuffer())).toEqual(big.slice(1_048_570, 2_097_161));
  });

  it.each([
    ["files/none", 404, "none"],
    ["files/src", 409, "directory"],
    ["files/src/link", 409, "symlink"],
    ["files?path=none", 404, "none"],
    ["files?snapshot_id=snap_none", 404, "snap_none"],
    ["files?run_id=a&snapshot_id=b", 400, "run_id"],
    ["archive?path=none", 404, "none"],
    ["diff?run_id=run_none", 404, "run_none"],
    ["diff?run_id=a&from=b", 400, "run_id"],
  ])("refuses %s with %i and names it", async (path, status, named) => {
    const response = await gantry.fetch(`/v1/sessions/${sessionId}/${path}`);
    expect(response.status).toBe(status);
    expect(await response.text()).toContain(named);
  });

  it("packs it into a zip file with modes, links and names", async () => {
    const response = await gantry.fetch(`/v1/sessions/${sessionId}/archive`);
    expect(response.headers.get("content-type")).toBe("application/zip");
    const reader = new ZipReader(new Uint8ArrayReader(new Uint8Array(await response.arrayBuffer())));
    const entries = await reader.getEntries();
    expect(entries.map((entry) => entry.filename)).toEqual([
      "big",
      "empty/",
      "src/",
      "src-b",
      "src/a.txt",
      "src/link",
      "src/ünï/",
      "src/ünï/d e",
    ]);
    const byName = new Map(entries.map((entry) => [entry.filename, entry]));
    expect((byName.get("src-b")?.unixMode ?? 0) & 0o777).toBe(0o755);
    expect(byName.get("src/link")?.symlink).toBe(true);
    const file = byName.get("src/a.txt");
    const text = file && !file.directory ? await file.getData(new Uint8ArrayWriter()) : new Uint8Array();
    expect(new TextDecoder().decode(text)).toBe("one\ntwo\nthree\n");
  });
});

it("tells what a run changed, as a patch that git takes", async () => {
  const first = script(
    bash("printf 'one\\ntwo\\n' > keep && printf 'gone\\n' > gone && printf '\\0\\1' > binary && printf 'run' > tool"),
    done,
  );
  const { sessionId } = await gantry.run({ prompt: first });
  await list(sessionId);
  const before = join(scratch, "before");
  mkdirSync(before);
  for (const name of ["keep", "gone", "tool"])
    writeFileSync(join(before, name), readFileSync(join(gantry.workspace(sessionId), name)));
  const second = script(
    bash(
      "printf 'one\\n2\\n' > keep && rm gone && printf '\\2' > binary && chmod +x tool && printf 'no end' > 'new file'",
    ),
    done,
  );
  await gantry.run({ prompt: second, sessionId });
  const [, run] = await runIds(sessionId);
  const diff = (await json(`/v1/sessions/${sessionId}/diff?run_id=${run}`)) as {
    changes: { path: string; status: string; additions: number | null; deletions: number | null; patch: string }[];
  };
  expect(diff.changes.map(({ path, status, additions, deletions }) => [path, status, additions, deletions])).toEqual([
    ["binary", "modified", null, null],
    ["gone", "deleted", 0, 1],
    ["keep", "modified", 1, 1],
    ["new file", "added", 1, 0],
    ["tool", "modified", 0, 0],
  ]);
  const patch = await gantry.fetch(`/v1/sessions/${sessionId}/diff?run_id=${run}`, {
    headers: { accept: "text/x-diff" },
  });
  execFileSync("git", ["apply", "-"], { cwd: before, input: await patch.text() });
  expect(readFileSync(join(before, "keep"), "utf8")).toBe("one\n2\n");
  expect(readFileSync(join(before, "new file"), "utf8")).toBe("no end");

  const whole = (await json(`/v1/sessions/${sessionId}/diff`)) as typeof diff;
  expect(whole.changes.map(({ path, status }) => [path, status])).toEqual([
    ["binary", "added"],
    ["keep", "added"],
    ["new file", "added"],
    ["tool", "added"],
  ]);
});

describe("a file that is put in from outside", () => {
  it("is there for the next prompt, and saved; conditions are kept to", async () => {
    const { sessionId } = await gantry.run({ prompt: script(bash("printf old > a"), done) });
    const path = `/v1/sessions/${sessionId}/files/in/it/b.txt`;
    const made = await gantry.fetch(path, { method: "PUT", body: "from outside" });
    expect(made.status).toBe(201);
    const etag = made.headers.get("etag") ?? "";
    expect(await (await gantry.fetch(path)).text()).toBe("from outside");
    const read = await gantry.run({ prompt: script(bash("cat in/it/b.txt"), done), sessionId });
    expect(JSON.stringify(read.lines)).toContain("from outside");

    const put = (headers: Record<string, string>) => gantry.fetch(path, { method: "PUT", body: "2", headers });
    expect((await put({ "if-none-match": "*" })).status).toBe(412);
    expect((await put({ "if-match": '"other"' })).status).toBe(412);
    expect((await put({ "if-match": etag })).status).toBe(200);
    expect(await (await gantry.fetch(path)).text()).toBe("2");
    expect((await gantry.fetch(path, { method: "DELETE" })).status).toBe(200);
    expect((await gantry.fetch(path)).status).toBe(404);
    expect((await gantry.fetch(path, { method: "DELETE" })).status).toBe(404);
  });

  it("is never written through a link", async () => {
    const { sessionId } = await gantry.run({
      prompt: script(bash(`ln -s ${scratch} out && ln -s ${scratch}/f f`), done),
    });
    const put = (path: string) => gantry.fetch(`/v1/sessions/${sessionId}/files/${path}`, { method: "PUT", body: "x" });
    expect((await put("out/stolen")).status).toBe(409);
    expect((await put("f")).status).toBe(201);
    expect((await put("in//stolen")).status).toBe(400);
    expect(() => readFileSync(join(scratch, "stolen"))).toThrow();
    expect(() => readFileSync(join(scratch, "f"))).toThrow();
  });

  it("comes back with the rest after the sandbox is lost", async () => {
    const { sessionId } = await gantry.run({ prompt: script(bash("printf old > a"), done) });
    await list(sessionId);
    await gantry.stop();
    rmSync(join(gantry.state, "sandboxes"), { recursive: true });
    await gantry.start(gantry.port);
    expect((await gantry.fetch(`/v1/sessions/${sessionId}/files/b`, { method: "PUT", body: "new" })).status).toBe(201);
    await gantry.run({ prompt: script(bash("cat a b > c"), done), sessionId });
    expect(await (await gantry.fetch(`/v1/sessions/${sessionId}/files/c`)).text()).toBe("oldnew");
  });
});

describe("a session that is forked", () => {
  it("goes on from where it was cut, with its files and its memory, and leaves the other alone", async () => {
    const word = `word${Math.random().toString(36).slice(2)}`;
    const { sessionId } = await gantry.run({ prompt: `Remember that the word is ${word}` });
    await gantry.run({ prompt: script(bash("printf first > a"), done), sessionId });
    // Asking waits until what the run left is saved; a prompt that came before that would go first.
    await list(sessionId);
    await gantry.run({ prompt: script(bash("printf second > a"), done), sessionId });
    const [, second] = await runIds(sessionId);
    const log = await gantry.log(sessionId);
    const end = log.find((event) => event.type === "run.ended" && event.run_id === second);

    const fork = (await json(`/v1/sessions/${sessionId}/fork`, {
      method: "POST",
      body: JSON.stringify({ at_event: end?.id, title: "another way" }),
    })) as { id: string; title: string };
    expect(fork.title).toBe("another way");
    expect(await (await gantry.fetch(`/v1/sessions/${fork.id}/files/a`)).text()).toBe("first");
    const copied = await gantry.log(fork.id);
    const shared = log.slice(0, log.findIndex((event) => event.id === end?.id) + 1);
    expect(copied.slice(0, shared.length)).toEqual(shared);
    expect(copied.at(-1)?.type).toBe("session.forked");

    const asked = await gantry.run({ prompt: "What did I say before?", sessionId: fork.id });
    expect(asked.text).toContain(word);
    await gantry.run({ prompt: script(bash("printf 3 >> a"), done), sessionId: fork.id });
    expect(await (await gantry.fetch(`/v1/sessions/${fork.id}/files/a`)).text()).toBe("first3");
    expect(await (await gantry.fetch(`/v1/sessions/${sessionId}/files/a`)).text()).toBe("second");

    // What they share stays for the one that is left.
    expect((await gantry.fetch(`/v1/sessions/${sessionId}`, { method: "DELETE" })).status).toBe(200);
    expect(await (await gantry.fetch(`/v1/sessions/${fork.id}/files/a`)).text()).toBe("first3");
    const seqs = (await gantry.log(fork.id)).map((event) => event.seq);
    expect(seqs).toEqual(seqs.map((_, index) => index + 1));
  });

  it("is refused where no run had ended, and in another account", async () => {
    const { sessionId } = await gantry.run({ prompt: "What is 1 + 1?" });
    const fork = (body: unknown, id = sessionId) => gantry.post(`/v1/sessions/${id}/fork`, body);
    expect((await fork({ at_event: 1 })).status).toBe(409);
    expect((await fork({ at_event: "sevt_none" })).status).toBe(404);
    expect((await fork({ at_evnt: 1 })).status).toBe(400);
    expect((await fork({}, `sesn_${"0".repeat(36)}`)).status).toBe(404);
  });
});

describe("a session that is turned back", () => {
  it("has the files and the memory of then, and its log says so", async () => {
    const { sessionId } = await gantry.run({ prompt: "Remember that the word is alpha" });
    await gantry.run({ prompt: script(bash("printf first > a"), done), sessionId });
    await list(sessionId);
    await gantry.run({ prompt: "Remember that the word is omega", sessionId });
    await gantry.run({ prompt: script(bash("printf second > a; printf x > b"), done), sessionId });
    const [, second] = await runIds(sessionId);
    await json(`/v1/sessions/${sessionId}/rewind`, { method: "POST", body: JSON.stringify({ run_id: second }) });
    expect(await (await gantry.fetch(`/v1/sessions/${sessionId}/files/a`)).text()).toBe("first");
    const asked = await gantry.run({ prompt: "What did I say before?", sessionId });
    expect(asked.text).toContain("alpha");
    expect(asked.text).not.toContain("omega");
    expect(readFileSync(join(gantry.workspace(sessionId), "a"), "utf8")).toBe("first");
    expect((await gantry.fetch(`/v1/sessions/${sessionId}/files/b`)).status).toBe(404);
    const types = (await gantry.log(sessionId)).map((event) => event.type);
    expect(types.filter((type) => type === "session.rewound")).toHaveLength(1);
  });

  it("is refused while a run is in progress", async () => {
    const { sessionId } = await gantry.run({ prompt: "What is 1 + 1?" });
    const [first] = await runIds(sessionId);
    const going = gantry.run({ prompt: script(bash("sleep 5"), done), sessionId });
    await until(
      async () => ((await json(`/v1/sessions/${sessionId}`)) as { status: string }).status === "running",
      "the run",
    );
    const refused = await gantry.post(`/v1/sessions/${sessionId}/rewind`, { run_id: first });
    expect(refused.status).toBe(409);
    await going;
  });
});

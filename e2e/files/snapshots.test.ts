import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, rows, script, until } from "../kit/gantry.ts";

/** Sandboxes die, sessions do not: what was said and what was written comes back to a new one. */

let gantry: Gantry;
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_PERMISSION_MODE: "bypassPermissions" });
});
afterAll(() => gantry.remove());

const bash = (command: string): Record<string, unknown> => ({ tool: "Bash", input: { command } });
const of = <T extends StoredEvent["type"]>(log: StoredEvent[], type: T): Extract<StoredEvent, { type: T }>[] =>
  log.filter((event): event is Extract<StoredEvent, { type: T }> => event.type === type);

/** Waits until the files are saved as they are after the last run. */
async function saved(sessionId: string): Promise<StoredEvent[]> {
  return gantry.untilLog(
    sessionId,
    (log) => {
      const last = of(log, "run.ended").at(-1)?.run_id;
      return of(log, "workspace.snapshot").some((event) => event.run_id === last);
    },
    "a snapshot after the last run",
  );
}

const sandboxes = (): string => join(gantry.state, "sandboxes");

describe("a session whose sandbox is gone", () => {
  it("remembers what was said, and its files are there, after everything was stopped and the disk deleted", async () => {
    const word = `word${Math.random().toString(36).slice(2)}`;
    const { sessionId } = await gantry.run({ prompt: `Remember that the word is ${word}` });
    await gantry.run({
      sessionId,
      prompt: script(
        bash(
          "mkdir -p 'ünï' empty && printf 'kept' > 'ünï/a file' && chmod 640 'ünï/a file' && ln -s /etc/hostname link && touch -d 2001-02-03T04:05:06Z 'ünï/a file'",
        ),
        { text: "written" },
      ),
    });
    await saved(sessionId);
    await gantry.stop();
    rmSync(sandboxes(), { recursive: true });
    await gantry.start(gantry.port);

    const after = await gantry.run({ prompt: "What did I say before?", sessionId });
    expect(after.text).toContain(word);
    const workspace = gantry.workspace(sessionId);
    expect(readFileSync(join(workspace, "ünï/a file"), "utf8")).toBe("kept");
    expect(lstatSync(join(workspace, "ünï/a file")).mode & 0o777).toBe(0o640);
    expect(lstatSync(join(workspace, "ünï/a file")).mtime.toISOString()).toBe("2001-02-03T04:05:06.000Z");
    expect(readdirSync(join(workspace, "empty"))).toEqual([]);
    expect(readlinkSync(join(workspace, "link"))).toBe("/etc/hostname");
    const log = await gantry.log(sessionId);
    const [restored] = of(log, "session.restored");
    const snapshot = of(log, "workspace.snapshot").findLast((event) => event.seq < (restored?.seq ?? 0));
    // What the engine wrote after that snapshot is in the mirror.
    expect(restored).toMatchObject({ snapshot_id: snapshot?.snapshot_id, files: snapshot?.files });
    expect(log.map((event) => event.seq)).toEqual(log.map((_, index) => index + 1));
  });

  it("remembers what was said until everything was killed in the middle of a run", async () => {
    const word = `word${Math.random().toString(36).slice(2)}`;
    const { sessionId } = await gantry.run({ prompt: "What is 7 * 6?" });
    await saved(sessionId);
    const running = (async () => {
      for await (const _line of gantry.stream({
        sessionId,
        prompt: `Remember that the word is ${word}. ${script(bash("echo begun > begun; sleep 60"), { text: "never" })}`,
      }));
    })().catch(() => {});
    await until(() => existsSync(join(gantry.workspace(sessionId), "begun")), "the tool to run");
    // The engine has written down what it does; the mirror looks four times a second.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await gantry.killAll();
    await running;
    rmSync(sandboxes(), { recursive: true });
    await gantry.start(gantry.port);

    const after = await gantry.run({ prompt: "What did I say before?", sessionId });
    expect(after.text).toContain(word);
    const log = await gantry.log(sessionId);
    expect(of(log, "run.ended").map((event) => event.error?.type ?? event.outcome)).toEqual([
      "succeeded",
      "sandbox_lost",
      "succeeded",
    ]);
    const [restored] = of(log, "session.restored");
    expect(restored?.transcript_lines).toBeGreaterThan(0);
    expect(restored?.missing).toContain("changes of files after the snapshot");
  });

  it("goes on in a folder of an earlier version, which has neither a name nor a snapshot", async () => {
    const word = `word${Math.random().toString(36).slice(2)}`;
    const { sessionId } = await gantry.run({ prompt: `Remember that the word is ${word}` });
    await saved(sessionId);
    await gantry.stop();
    rmSync(join(sandboxes(), sessionId, "folder.json"));
    await gantry.start(gantry.port);
    // It has another name now, so what is saved counts, and that is the same.
    const after = await gantry.run({ prompt: "What did I say before?", sessionId });
    expect(after.text).toContain(word);
  });
});

describe("a transcript that a full disk or a kill has damaged", () => {
  type Damage = (lines: readonly string[]) => string[];
  const isReply = (line: string): boolean => line.includes('"type":"assistant"');
  /** As the engine leaves it that was killed after its model had failed once. */
  const markFailure: Damage = (lines) => {
    const whole = lines.filter((line) => !line.includes('"last-prompt"'));
    const at = whole.findIndex(isReply);
    const { uuid, sessionId, cwd, version } = JSON.parse(whole[at] ?? "") as Record<string, string>;
    const failure = crypto.randomUUID();
    const common = { isSidechain: false, timestamp: new Date().toISOString(), sessionId, cwd, version };
    const note = { parentUuid: uuid, type: "system", subtype: "api_error", level: "error", uuid: failure, ...common };
    const mark = { type: "last-prompt", lastPrompt: "", leafUuid: failure, sessionId };
    return [...whole.slice(0, at + 1), JSON.stringify(note), JSON.stringify(mark), ...whole.slice(at + 1)];
  };
  const DAMAGES: [string, Damage, readonly string[]][] = [
    ["is empty", () => [], []],
    ["goes on from a failure", markFailure, ["the word is", "1 + 1"]],
    ["has nothing said in it", (lines) => lines.filter((line) => !line.includes('"uuid"')), []],
    [
      "lacks the second prompt",
      (lines) => lines.filter((line) => !(line.includes('"type":"user"') && line.includes("1 + 1"))),
      ["the word is"],
    ],
  ];
  it.each(rows(DAMAGES, 2))(
    "that %s does not keep the next prompt from being answered",
    async (_name, damage, remembered) => {
      const { sessionId } = await gantry.run({ prompt: "Remember that the word is heron" });
      await gantry.run({ prompt: "What is 1 + 1?", sessionId });
      await saved(sessionId);
      await gantry.stop();
      const projects = join(sandboxes(), sessionId, "engine", "projects");
      const [file = ""] = readdirSync(projects, { recursive: true, encoding: "utf8" }).filter((name) =>
        name.endsWith("jsonl"),
      );
      const lines = readFileSync(join(projects, file), "utf8").split("\n");
      expect(damage(lines)).not.toEqual(lines);
      writeFileSync(join(projects, file), damage(lines).join("\n"));
      await gantry.start(gantry.port);
      const after = await gantry.run({ prompt: "What did I say before?", sessionId });
      expect(after.last["type"]).toBe("result");
      for (const text of remembered) expect(after.text).toContain(text);
      const again = await gantry.run({ prompt: "What is 3 + 4?", sessionId });
      expect(again.text).toContain("7");
    },
  );
});

describe("a run that is cut off", () => {
  /** Sends a prompt and does not wait for its end. */
  const begin = (on: Gantry, sessionId: string, command: string): Promise<void> =>
    (async () => {
      for await (const _line of on.stream({ sessionId, prompt: script(bash(command), { text: "done" }) }));
    })().catch(() => {});

  it("has left the files of the last save while it was under way, when it took long", async () => {
    const often = await Gantry.start({
      GANTRY_PERMISSION_MODE: "bypassPermissions",
      GANTRY_SNAPSHOT_MINUTES: "0.03",
    });
    try {
      const { sessionId } = await often.run({ prompt: "What is 7 * 6?" });
      const running = begin(often, sessionId, "for i in $(seq 50); do echo kept > file$i; done; sleep 60");
      const log = await often.untilLog(
        sessionId,
        (events) => of(events, "workspace.snapshot").some((event) => event.files >= 50),
        "a snapshot of the run in progress",
      );
      expect(of(log, "run.ended")).toHaveLength(1);
      await often.killAll();
      await running;
      rmSync(join(often.state, "sandboxes"), { recursive: true });
      await often.start(often.port);
      expect((await often.run({ prompt: "What is 1 + 1?", sessionId })).text).toContain("2");
      expect(readFileSync(join(often.workspace(sessionId), "file50"), "utf8")).toBe("kept\n");
    } finally {
      await often.remove();
    }
  });

  it.each([
    ["while it is being saved", "saving"],
    ["in the middle of a tool", "busy"],
  ])("by a stop of everything %s has its files saved first", async (_name, state) => {
    const { sessionId } = await gantry.run({ prompt: "What is 7 * 6?" });
    await saved(sessionId);
    const command = "head -c 40000000 /dev/urandom > large; sha256sum large > sum; touch written";
    const running = begin(gantry, sessionId, state === "busy" ? `${command}; sleep 60` : command);
    const now = async (): Promise<unknown> =>
      ((await (await gantry.fetch(`/v1/sessions/${sessionId}/sandbox`)).json()) as { state: unknown }).state;
    await until(() => existsSync(join(gantry.workspace(sessionId), "written")), "the files to be written");
    await until(async () => (await now()) === state, `the sandbox to be ${state}`);
    expect(await gantry.stop()).toBe(0);
    await running;
    rmSync(sandboxes(), { recursive: true });
    await gantry.start(gantry.port);
    const after = await gantry.run({
      sessionId,
      prompt: script(bash("sha256sum -c sum && echo whole > checked"), { text: "done" }),
    });
    expect(after.last["type"]).toBe("result");
    expect(readFileSync(join(gantry.workspace(sessionId), "checked"), "utf8")).toBe("whole\n");
  });
});

describe("what is stored", () => {
  it("is visible while it is being stored", async () => {
    const large = bash("head -c 60000000 /dev/urandom > large");
    const { sessionId } = await gantry.run({ prompt: script(large, { text: "done" }) });
    const state = async (): Promise<unknown> =>
      ((await (await gantry.fetch(`/v1/sessions/${sessionId}/sandbox`)).json()) as { state: unknown }).state;
    await until(async () => (await state()) === "saving", "the files to be stored");
    await until(async () => (await state()) === "idle", "the files to be there");
    expect(of(await gantry.log(sessionId), "workspace.snapshot").at(-1)?.bytes).toBeGreaterThan(60_000_000);
  });

  it("is ciphertext, and gone with the session", async () => {
    const word = `secret${Math.random().toString(36).slice(2)}`;
    const { sessionId } = await gantry.run({ prompt: script(bash(`echo ${word} > file`), { text: "done" }) });
    await saved(sessionId);
    const blobs = (): string[] =>
      readdirSync(join(gantry.state, "storage", "r2"), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.parentPath.endsWith("blobs"))
        .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"));
    const packs = blobs().filter((blob) => blob.startsWith("GSP1"));
    expect(packs.length).toBeGreaterThan(0);
    for (const pack of packs) expect(pack).not.toContain(word);
    const before = packs.length;
    expect((await gantry.fetch(`/v1/sessions/${sessionId}`, { method: "DELETE" })).status).toBe(200);
    expect(blobs().filter((blob) => blob.startsWith("GSP1")).length).toBeLessThan(before);
  });
});

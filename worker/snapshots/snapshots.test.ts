import { execFileSync } from "node:child_process";
import { Buffer } from "node:buffer";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Tree } from "../workspace/tree.ts";
import { memoryDatabase } from "../session/testing/sqlite.ts";
import { SnapshotFailed } from "./runner.ts";
import { SnapshotWorld } from "./testing/world.ts";
import type { TestSession } from "./testing/world.ts";

/** Saving and restoring, with R2, D1, the runner's server and a disk. Faults are injected between them. */

let world: SnapshotWorld;
beforeAll(async () => {
  world = await SnapshotWorld.start();
}, 60_000);
afterAll(() => world.stop());

/** A session with a folder, as its first run creates it. */
function begin(
  change: Parameters<SnapshotWorld["session"]>[0] = {},
): TestSession & { base: string; workspace: string } {
  const session = world.session(change);
  const base = world.folder(session.id);
  for (const part of ["workspace", "engine/projects/p"]) mkdirSync(join(base, part), { recursive: true });
  return { ...session, base, workspace: join(base, "workspace") };
}

/** Everything below a folder: kinds, modes, times, contents, with names as bytes. */
function look(folder: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const visit = (path: Buffer, name: string): void => {
    const stats = lstatSync(path);
    const kind = stats.isDirectory() ? "folder" : stats.isSymbolicLink() ? "link" : "file";
    found[name] = {
      kind,
      mode: kind === "link" ? null : stats.mode & 0o7777,
      micros: Math.round(stats.mtimeMs * 1000),
      contents:
        kind === "file"
          ? readFileSync(path).toString("base64")
          : kind === "link"
            ? readlinkSync(path, "buffer").toString("base64")
            : null,
    };
    if (kind !== "folder") return;
    for (const child of readdirSync(path, { encoding: "buffer" }))
      visit(Buffer.concat([path, Buffer.from("/"), child]), `${name}/${child.toString("latin1")}`);
  };
  visit(Buffer.from(folder), "");
  return found;
}

function lose(session: { base: string }): void {
  execFileSync("chmod", ["-R", "u+rwx", session.base]);
  rmSync(session.base, { recursive: true });
}

describe("a restored folder is as it was saved", () => {
  it("with names, modes, times, links and empty folders of every kind", async () => {
    const session = begin();
    const at = (name: string | Buffer): Buffer =>
      Buffer.concat([Buffer.from(`${session.workspace}/`), Buffer.from(name as string)]);
    mkdirSync(at("empty"));
    mkdirSync(at("deep/er/est"), { recursive: true });
    writeFileSync(at("deep/er/est/file"), "x");
    for (const name of ["ünïcödé", "a\nnewline", " space ", "-rf", "emoji 🙂", "CON", "a\\b", "..."])
      writeFileSync(at(name), name);
    writeFileSync(at(Buffer.from([0x66, 0xff, 0xfe, 0xc3])), "not UTF-8");
    writeFileSync(at("no bytes"), "");
    writeFileSync(at("large"), Buffer.alloc(2_500_000, "large"));
    writeFileSync(at("program"), "#!/bin/sh\n", { mode: 0o755 });
    writeFileSync(at("read only"), "r");
    chmodSync(at("read only"), 0o400);
    symlinkSync("/etc/passwd", at("out"));
    symlinkSync("../../..", at("up"));
    symlinkSync("deep", at("inner"));
    symlinkSync(Buffer.from([0x2f, 0xff]), at("not to UTF-8"));
    mkdirSync(at("closed"));
    writeFileSync(at("closed/inside"), "i");
    utimesSync(at("deep"), 1, 2.000003);
    chmodSync(at("closed"), 0o500);
    const before = look(session.workspace);
    expect(await session.save()).toMatchObject({ type: "workspace.snapshot", skipped_count: 0 });
    lose(session);
    expect(await session.restore()).toMatchObject({ type: "session.restored" });
    expect(look(session.workspace)).toEqual(before);
    // The restored folder is known to equal the saved one: nothing is stored again.
    const count = session.events.length;
    await session.save();
    expect(session.events.length).toBe(count);
  });

  it("with any contents", async () => {
    const name = fc
      .string({ minLength: 1, maxLength: 12, unit: "grapheme" })
      .filter((text) => !/[/\0]/.test(text) && text !== "." && text !== ".." && Buffer.byteLength(text) < 200);
    const tree = fc.uniqueArray(
      fc.record({
        folder: fc.array(fc.constantFrom("a", "b", "ü"), { maxLength: 3 }),
        name,
        contents: fc.uint8Array({ maxLength: 50 }),
        mode: fc.constantFrom(0o600, 0o644, 0o755, 0o400),
        micros: fc.integer({ min: 0, max: 2_000_000_000_000_000 }),
        isLink: fc.boolean(),
      }),
      {
        maxLength: 25,
        selector: ({ folder, name: last }) => [...folder, last].join("/").toLowerCase().normalize("NFC"),
      },
    );
    const session = begin();
    await fc.assert(
      fc.asyncProperty(tree, async (files) => {
        rmSync(session.workspace, { recursive: true, force: true });
        mkdirSync(session.workspace, { recursive: true });
        for (const { folder, name: last, contents, mode, micros, isLink } of files) {
          const path = join(session.workspace, ...folder, last);
          mkdirSync(join(session.workspace, ...folder), { recursive: true });
          if (existsSync(path) || lstatSync(path, { throwIfNoEntry: false })) continue;
          if (isLink) symlinkSync(Buffer.from(contents.filter((byte) => byte !== 0)).toString("latin1") || "x", path);
          else {
            writeFileSync(path, contents, { mode });
            utimesSync(path, 0, micros / 1e6);
          }
        }
        const before = look(session.workspace);
        await session.save();
        rmSync(session.base, { recursive: true });
        await session.restore();
        expect(look(session.workspace)).toEqual(before);
      }),
      { numRuns: 15 },
    );
  }, 120_000);

  it("with the transcript lines added after the snapshot, and a note where some are missing", async () => {
    const session = begin();
    const file = "engine/projects/p/s.jsonl";
    writeFileSync(join(session.base, file), "one\n");
    await session.save();
    const hear = (path: string, at: number, data: string): void =>
      session.snapshots.hear({ type: "transcript", file: path, at, data });
    hear(file, 0, "one\n");
    hear(file, 4, "two\nthr");
    hear(file, 11, "ee\nto");
    hear("engine/projects/p/other.jsonl", 50, "after a gap\n");
    lose(session);
    expect(await session.restore()).toMatchObject({
      transcript_lines: 2,
      missing: expect.arrayContaining(["the end of engine/projects/p/other.jsonl"]) as unknown,
    });
    expect(readFileSync(join(session.base, file), "utf8")).toBe("one\ntwo\nthree\n");
  });
});

describe("the cost of saving", () => {
  it("depends on what changed, not on the size", async () => {
    const session = begin();
    for (let folder = 0; folder < 20; folder++) {
      mkdirSync(join(session.workspace, `f${folder}`));
      for (let file = 0; file < 100; file++)
        writeFileSync(join(session.workspace, `f${folder}`, `${file}`), `${folder} ${file} `.repeat(200));
    }
    expect(await session.save()).toMatchObject({
      files: 2000,
      new_bytes: expect.toSatisfy((bytes: number) => bytes > 1_500_000) as unknown,
    });
    writeFileSync(join(session.workspace, "f7", "7"), "changed");
    expect(await session.save()).toMatchObject({
      files: 2000,
      new_bytes: expect.toSatisfy((bytes: number) => bytes < 150_000) as unknown,
    });
    const count = session.events.length;
    await session.save();
    expect(session.events.length).toBe(count);
  });

  it("does not grow with the number of saves, and every kept snapshot stays complete", async () => {
    const session = begin({ keep: 3 });
    const contents: string[] = [];
    for (let run = 0; run < 70; run++) {
      contents.push(`${run} `.repeat(20_000));
      writeFileSync(join(session.workspace, "file"), contents[run] ?? "");
      await session.save();
    }
    expect(session.snapshots.tables.all().length).toBeLessThan(40);
    const stored = await world.env.FILES.list({ prefix: `snapshots/acct/${session.id}/` });
    expect(stored.objects.length).toBeLessThan(50);
    expect(new Set(stored.objects.map((object) => object.key))).toEqual(
      new Set(session.snapshots.tables.packs().map((pack) => pack.key)),
    );
    const reader = session.snapshots.reader();
    for (const snapshot of session.snapshots.tables.all()) {
      const root = await reader.root(snapshot);
      const tree = new Tree(reader, root);
      const entry = await tree.find("file");
      if (entry?.t !== "f") throw new Error("no file");
      const text = await new Response(tree.contents(entry)).text();
      expect(text).toBe(contents[Number(snapshot.runId?.slice(4)) - 1]);
    }
    await session.snapshots.forget();
    expect((await world.env.FILES.list({ prefix: `snapshots/acct/${session.id}/` })).objects).toEqual([]);
  }, 120_000);
});

describe("a save after a run", () => {
  it("waits until the following runs have ended, but not for long", async () => {
    let running: string | null = null;
    const session = begin({ runningRun: () => running });
    const saves = (): number => session.events.filter((event) => event.type === "workspace.snapshot").length;
    /** Does what the alarm does. Returns in how many milliseconds it rings again. */
    const look = async (): Promise<number> => {
      session.snapshots.watch();
      await session.snapshots.idle();
      return (session.alarmAt() ?? 0) - session.now();
    };
    const end = (name: string): void => {
      running = null;
      writeFileSync(join(session.workspace, "file"), name);
      session.snapshots.wantSave(name);
    };
    end("run_1");
    session.wait(400);
    running = "run_2";
    session.wait(200);
    expect(await look()).toBeGreaterThan(4_000);
    expect(saves()).toBe(0);
    // Its end brings the save forward.
    session.wait(1_000);
    end("run_2");
    expect(await look()).toBeLessThanOrEqual(500);
    session.wait(600);
    await look();
    expect(saves()).toBe(1);

    // Runs that end shortly after each other are saved together.
    end("run_a");
    session.wait(300);
    end("run_b");
    session.wait(300);
    expect(await look()).toBeLessThanOrEqual(200);
    expect(saves()).toBe(1);
    session.wait(300);
    await look();
    expect(saves()).toBe(2);

    // Prompts without a pause between them put the save off for five seconds.
    for (let run = 3; run < 20 && saves() < 3; run++) {
      end(`run_${run}`);
      session.wait(100);
      running = `run_${run + 1}`;
      session.wait(500);
      await look();
    }
    expect(saves()).toBe(3);
    expect(running).toBe("run_12");
  });
});

describe("what is skipped or refused", () => {
  it("is reported: pipes, files that are too large, excluded names", async () => {
    const session = begin({ limits: { maxFileBytes: 1000, exclude: ["node_modules"] } });
    execFileSync("sh", ["-c", 'mkfifo "$1"', "sh", join(session.workspace, "pipe")]);
    writeFileSync(join(session.workspace, "sparse"), "");
    truncateSync(join(session.workspace, "sparse"), 2 ** 40);
    mkdirSync(join(session.workspace, "node_modules"));
    writeFileSync(join(session.workspace, "node_modules", "x"), "x");
    writeFileSync(join(session.workspace, "kept"), "k");
    expect(await session.save()).toMatchObject({
      type: "workspace.snapshot",
      files: 1,
      skipped_count: 2,
      skipped: expect.arrayContaining([
        { path: "workspace/pipe", reason: "a pipe" },
        { path: "workspace/sparse", reason: "larger than 1000 bytes" },
      ]) as unknown,
    });
  });

  it.each([
    ["too many files", { maxEntries: 5 }],
    ["too many bytes", { maxBytes: 100 }],
  ])("%s: the log says so, and the snapshot before stays", async (_name, limits) => {
    const database = memoryDatabase();
    const session = begin({ database });
    writeFileSync(join(session.workspace, "first"), "f");
    await session.save();
    const first = session.snapshots.tables.latest();
    for (let file = 0; file < 10; file++) writeFileSync(join(session.workspace, `file${file}`), `${file}`.repeat(50));
    const strict = world.session({ id: session.id, limits, database });
    expect(await strict.save()).toMatchObject({
      type: "workspace.snapshot_failed",
      error: { type: "too_large", retry_status: { type: "exhausted" } },
    });
    expect(strict.snapshots.tables.latest()).toEqual(first);
    expect(strict.alarmAt()).toBeNull();
  });
});

describe("a store that fails", () => {
  it.each(["hold", "put"] as const)(
    "at %s: the save is tried again until the store works, and can then be restored",
    async (step) => {
      let broken = false;
      const session = begin({
        store: (store) => ({
          ...store,
          [step]: (...args: never[]) =>
            broken ? Promise.reject(new Error("down")) : (store[step] as (...all: never[]) => Promise<void>)(...args),
        }),
      });
      writeFileSync(join(session.workspace, "file"), "first");
      await session.save();
      writeFileSync(join(session.workspace, "file"), "second");
      broken = true;
      expect(await session.save()).toBeUndefined();
      expect(session.alarmAt()).toBeGreaterThan(Date.now());
      for (let attempt = 0; attempt < 8; attempt++) {
        session.snapshots.watch();
        await session.snapshots.idle();
      }
      expect(session.events.filter((event) => event.type === "workspace.snapshot_failed")).toMatchObject([
        { error: { type: "store_unavailable", retry_status: { type: "retrying" } } },
      ]);
      broken = false;
      session.snapshots.watch();
      await session.snapshots.idle();
      expect(session.events.at(-1)).toMatchObject({ type: "workspace.snapshot" });
      lose(session);
      await session.restore();
      expect(readFileSync(join(session.workspace, "file"), "utf8")).toBe("second");
    },
  );

  it("with a changed object: nothing is restored, and no run begins without the files", async () => {
    const session = begin();
    writeFileSync(join(session.workspace, "file"), "precious");
    await session.save();
    const [pack] = session.snapshots.tables.packs();
    const object = new Uint8Array(await (await world.env.FILES.get(pack?.key ?? ""))!.arrayBuffer());
    object[40] = (object[40] ?? 0) ^ 1;
    await world.env.FILES.put(pack?.key ?? "", object);
    lose(session);
    await expect(session.restore()).rejects.toThrow("is not what was stored");
    expect(existsSync(join(session.workspace, "file"))).toBe(false);
  });

  it("once, and is retried after another link has restored the files: later work stays", async () => {
    const paused = Promise.withResolvers<void>();
    const isPaused = Promise.withResolvers<void>();
    let broken = false;
    const session = begin({
      pause: () => {
        isPaused.resolve();
        return paused.promise;
      },
      runner: (runner) => ({
        ...runner,
        restore: (stream) =>
          broken ? Promise.reject(new SnapshotFailed("unreachable", "lost")) : runner.restore(stream),
      }),
    });
    writeFileSync(join(session.workspace, "file"), "saved");
    await session.save();
    lose(session);
    broken = true;
    const first = session.restore();
    await isPaused.promise;
    broken = false;
    await session.restore();
    writeFileSync(join(session.workspace, "file"), "newer");
    paused.resolve();
    await expect(first).rejects.toThrow("lost");
    expect(readFileSync(join(session.workspace, "file"), "utf8")).toBe("newer");
  });

  it("without the key, or with another key: typed errors", async () => {
    const database = memoryDatabase();
    const session = begin({ database });
    writeFileSync(join(session.workspace, "file"), "f");
    await session.save();
    const none = world.session({ id: session.id, database, keys: "" });
    writeFileSync(join(session.workspace, "file"), "g");
    expect(await none.save()).toMatchObject({ error: { type: "not_configured" } });
    const other = world.session({ id: session.id, database, keys: `k2:${"B".repeat(43)}` });
    lose(session);
    await expect(other.restore()).rejects.toThrow('no key "k1"');
    const both = world.session({ id: session.id, database, keys: `k2:${"B".repeat(43)},k1:${"A".repeat(43)}` });
    await both.restore();
    expect(readFileSync(join(session.workspace, "file"), "utf8")).toBe("f");
  });

  it("under a new key: objects sealed with the old key are sealed again in time, and it can be removed", async () => {
    const database = memoryDatabase();
    const old = begin({ database, keep: 3 });
    const fresh = `k2:${"B".repeat(43)}`;
    writeFileSync(join(old.workspace, "stays"), "from before");
    for (let run = 0; run < 5; run++) {
      writeFileSync(join(old.workspace, "file"), `${run}`);
      await old.save();
    }
    const sealedWith = (session: TestSession): Set<string> =>
      new Set(session.snapshots.tables.packs().map((pack) => pack.keyId));
    expect(sealedWith(old)).toEqual(new Set(["k1"]));
    const both = world.session({ id: old.id, database, keep: 3, keys: `${fresh},k1:${"A".repeat(43)}` });
    for (let run = 0; run < 40 && sealedWith(both).has("k1"); run++) {
      writeFileSync(join(old.workspace, "file"), `new ${run}`);
      await both.save();
    }
    expect(sealedWith(both)).toEqual(new Set(["k2"]));
    lose(old);
    await world.session({ id: old.id, database, keys: fresh }).restore();
    expect(readFileSync(join(old.workspace, "stays"), "utf8")).toBe("from before");
    expect(readFileSync(join(old.workspace, "file"), "utf8")).toMatch(/^new/);
  }, 60_000);
});

describe("a snapshot", () => {
  it("can be listed, read and returned to", async () => {
    const session = begin();
    mkdirSync(join(session.workspace, "src"));
    for (const name of ["src/a", "src/b", "src-c", "z"]) writeFileSync(join(session.workspace, name), name);
    await session.save();
    const first = session.snapshots.tables.latest();
    const reader = session.snapshots.reader();
    const root = await reader.root(first!);
    const tree = new Tree(reader, root);
    const names = async (folder: string, deep = false): Promise<string[]> => {
      const found: string[] = [];
      for await (const entry of tree.list(folder, deep)) found.push(entry.p);
      return found;
    };
    expect(await names("")).toEqual(["workspace/src", "workspace/src-c", "workspace/z"]);
    expect(await names("src")).toEqual(["workspace/src/a", "workspace/src/b"]);
    expect(await names("", true)).toHaveLength(5);
    expect(await tree.find("nope")).toBeNull();
    writeFileSync(join(session.workspace, "z"), "changed");
    await session.save();
    session.snapshots.goBackTo(first!);
    await session.restore();
    expect(readFileSync(join(session.workspace, "src/a"), "utf8")).toBe("src/a");
    expect(session.snapshots.tables.latest()).toMatchObject({ files: 4 });
  });

  it("can be shared with another session, and each session releases it by itself", async () => {
    const one = begin();
    writeFileSync(join(one.workspace, "file"), "shared");
    await one.save();
    const two = world.session();
    two.snapshots.take(await one.snapshots.shareWith(two.id, one.snapshots.tables.latest()!));
    await one.snapshots.forget();
    await two.restore();
    expect(readFileSync(join(world.folder(two.id), "workspace", "file"), "utf8")).toBe("shared");
    await two.snapshots.forget();
    expect((await world.env.FILES.list({ prefix: `snapshots/acct/${one.id}/` })).objects).toEqual([]);
  });
});

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FRAME, FRAMES_TYPE, frameOf } from "@gantry/protocol/frames.ts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runnerFiles } from "./runner.ts";
import type { RunnerFiles } from "./runner.ts";
import { SnapshotWorld } from "./testing/world.ts";

/** A sandbox is assumed hostile: how a session treats a runner that lies. */

let world: SnapshotWorld;
beforeAll(async () => {
  world = await SnapshotWorld.start();
}, 60_000);
afterAll(() => world.stop());

const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const hashOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("base64url");
const contents = new TextEncoder().encode("x");
const file = (change: object = {}): object => ({
  t: "f",
  p: "workspace/x",
  m: 0o644,
  n: 0,
  s: 1,
  c: [hashOf(contents)],
  ...change,
});

interface Lie {
  /** Contents of the page. Every hash is right. */
  readonly page?: unknown;
  readonly root?: object;
  /** Sent instead of an object. */
  readonly send?: (object: Uint8Array) => Uint8Array;
}

/** A runner that is correct except for the lie. */
function liar(
  { page: entries = [file()], root: change = {}, send = (object) => object }: Lie,
  ahead: boolean,
): RunnerFiles {
  const page = bytesOf(entries);
  const pages = [{ first: "workspace/x", hash: hashOf(page), size: page.length }];
  const root = bytesOf({ version: 1, entries: 1, files: 1, bytes: 1, pages, ...change });
  const objects = new Map([root, page, contents].map((object) => [hashOf(object), object]));
  const scan = {
    runnerId: "runner",
    folder: "folder",
    scan: "scan",
    root: hashOf(root),
    rootSize: root.length,
    transcripts: [],
    skipped: [],
    skippedCount: 0,
    changing: 0,
  };
  const framed = (frames: Uint8Array[]): Response =>
    new Response(Buffer.concat(frames), { headers: { "content-type": FRAMES_TYPE } });
  const sent = (object: Uint8Array): Uint8Array => frameOf(FRAME.data, send(object));
  return runnerFiles(
    {
      getTcpPort: () => ({
        async fetch(url, init) {
          if (url.endsWith("/done")) return Response.json({});
          if (url.endsWith("/snapshot"))
            return ahead
              ? framed([frameOf(FRAME.json, bytesOf(scan)), ...[...objects.values()].map(sent)])
              : Response.json(scan);
          const { hashes } = JSON.parse(init?.body as string) as { hashes: string[] };
          return framed(hashes.map((hash) => sent(objects.get(hash) ?? contents)));
        },
      }),
    },
    "session",
  );
}

const spoiled = (object: Uint8Array): Uint8Array => object.map((byte, index) => (index === 0 ? byte ^ 1 : byte));

describe.each([
  ["asked for each object", false],
  ["that sends objects along", true],
])("a runner %s", (_name, ahead) => {
  it("is believed when it tells the truth", async () => {
    const session = world.session({ runner: () => liar({}, ahead) });
    expect(await session.save()).toMatchObject({ type: "workspace.snapshot", files: 1 });
  });

  const another = "B".repeat(43);
  it.each<[string, Lie]>([
    ["contents of another hash", { send: (object) => (object.length === 1 ? spoiled(object) : object) }],
    ["a page of another hash", { send: (object) => (object[0] === 0x5b ? spoiled(object) : object) }],
    ["a root of another hash", { send: (object) => (object[0] === 0x7b ? spoiled(object) : object) }],
    ["fewer bytes than announced", { send: (object) => object.subarray(1) }],
    ["a path that leads out", { page: [file({ p: "workspace/../../x" })] }],
    ["an absolute path", { page: [file({ p: "/etc/passwd" })] }],
    ["a path with NUL", { page: [file({ p: "workspace/a\0b" })] }],
    ["a link with NUL", { page: [{ t: "l", p: "workspace/x", n: 0, to: "a\0b" }] }],
    ["the engine's configuration", { page: [file({ p: "engine/settings.json" })] }],
    ["a device", { page: [{ t: "b", p: "workspace/x", m: 0o644, n: 0 }] }],
    ["more pieces than its size has", { page: [file({ c: [hashOf(contents), another] })] }],
    ["a set-uid bit", { page: [file({ m: 0o4755 })] }],
    ["one path twice", { page: [file(), file()] }],
    ["paths out of order", { page: [file(), file({ p: "workspace/a" })] }],
    ["a page that is not a list", { page: file() }],
    ["a root of another version", { root: { version: 2 } }],
  ])("%s: nothing is kept", async (_lie, lie) => {
    const session = world.session({ runner: () => liar(lie, ahead) });
    await session.save();
    for (let attempt = 1; attempt < 7; attempt++) {
      session.snapshots.watch();
      await session.snapshots.idle();
    }
    expect(session.events).toMatchObject([{ type: "workspace.snapshot_failed", error: { type: "bad_contents" } }]);
    expect(session.snapshots.tables.latest()).toBeNull();
    expect((await world.env.FILES.list({ prefix: `snapshots/acct/${session.id}/` })).objects).toEqual([]);
  });
});

describe("a runner that lies about who it is", () => {
  it("a sandbox that no longer holds the session cannot save", async () => {
    const session = world.session();
    const workspace = join(world.folder(session.id), "workspace");
    for (const part of ["workspace", "engine/projects/p"])
      mkdirSync(join(world.folder(session.id), part), { recursive: true });
    writeFileSync(join(workspace, "file"), "true");
    await session.save();
    const kept = session.snapshots.tables.latest();
    session.settings.saveFolder("another");
    writeFileSync(join(workspace, "file"), "written by a lost sandbox");
    expect(await session.save()).toMatchObject({
      type: "workspace.snapshot_failed",
      error: { type: "sandbox_unavailable" },
    });
    expect(session.snapshots.tables.latest()).toEqual(kept);
  });
});

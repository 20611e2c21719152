import {
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { Gantry } from "@gantry/e2e/kit/gantry.ts";
import type { Group, Table } from "../kit/report.ts";
import { ROOT, Scope } from "../kit/scope.ts";
import { rotate, summarize, withSpread } from "../kit/statistics.ts";
import type { Summary } from "../kit/statistics.ts";

/** What it costs to save a workspace in which one file has changed, compared with zipping all of it, and to restore it. */

const SMALLEST = 12_500;
const TIMES = [1, 2, 4, 8];
const ROUNDS = 3;
const LARGEST_FILE = 256 * 1024;

interface Size {
  readonly times: number;
  readonly files: number;
  readonly mb: number;
  readonly firstMs: number;
  readonly save: Summary;
  readonly newKb: Summary;
  readonly zip: Summary;
  readonly restoreMs: number;
  readonly unzipMs: number;
  readonly isExact: boolean;
}

/** Files of Gantry's own dependencies, up to this number; copied again into another folder if there are too few. */
function makeWorkspace(folder: string, files: number): void {
  let made = 0;
  for (let copy = 1; made < files; copy++) {
    const pending = [join(ROOT, "node_modules")];
    for (let from = pending.pop(); from !== undefined && made < files; from = pending.pop()) {
      for (const name of readdirSync(from).toSorted()) {
        const path = join(from, name);
        const stats = lstatSync(path);
        if (stats.isDirectory()) pending.push(path);
        if (!stats.isFile() || stats.size > LARGEST_FILE || made >= files) continue;
        const to = join(folder, `copy${copy}`, path.slice(ROOT.length));
        mkdirSync(dirname(to), { recursive: true });
        copyFileSync(path, to);
        made += 1;
      }
    }
  }
}

/** Says whether two folders are the same: names, kinds, modes, times and contents. */
function fingerprint(folder: string): string {
  const hash = createHash("sha256");
  const visit = (path: string): void => {
    const stats = lstatSync(path);
    const shown = [
      path.slice(folder.length),
      stats.mode,
      Math.round(stats.mtimeMs * 1000),
      stats.isFile() ? stats.size : 0,
    ];
    hash.update(`${JSON.stringify(shown)}\n`);
    if (stats.isFile()) hash.update(readFileSync(path));
    if (stats.isDirectory()) for (const name of readdirSync(path).toSorted()) visit(join(path, name));
  };
  visit(folder);
  return hash.digest("hex");
}

async function timed(scope: Scope, program: string, args: readonly string[], cwd: string): Promise<number> {
  const startedAt = performance.now();
  const child = scope.spawn(program, args, { cwd, stdio: "ignore" });
  const code = await new Promise<number | null>((resolve, reject) => child.once("exit", resolve).once("error", reject));
  if (code !== 0) throw new Error(`${program} ended with ${code}: is it installed?`);
  return performance.now() - startedAt;
}

/** After long work in this program: gives closed connections time to be noticed. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 200));
}

type SavedEvent = Extract<StoredEvent, { type: "workspace.snapshot" }>;

/** A prompt, and the snapshot after it. */
async function saveAfterPrompt(gantry: Gantry, sessionId?: string): Promise<{ sessionId: string; saved: SavedEvent }> {
  const { last, sessionId: id } = await gantry.run({ prompt: "What is 7 * 6?", ...(sessionId ? { sessionId } : {}) });
  const isSave = (event: StoredEvent): event is SavedEvent =>
    event.type === "workspace.snapshot" && event.run_id === last["runId"];
  const log = await gantry.untilLog(id, (events) => events.some(isSave), "the snapshot");
  const saved = log.findLast(isSave);
  if (!saved) throw new Error("there is no snapshot");
  return { sessionId: id, saved };
}

async function measure(scope: Scope, times: number): Promise<Size> {
  const gantry = await Gantry.start({ GANTRY_STATE: join(scope.folder, `state-${times}`) });
  try {
    const { sessionId } = await saveAfterPrompt(gantry);
    const workspace = gantry.workspace(sessionId);
    makeWorkspace(workspace, SMALLEST * times);
    await settled();
    const first = await saveAfterPrompt(gantry, sessionId);
    const saves: SavedEvent[] = [];
    const zips: number[] = [];
    const archive = join(scope.folder, `${times}.zip`);
    for (let round = 0; round < ROUNDS; round++) {
      writeFileSync(join(workspace, "changed"), `${round} `.repeat(1_000));
      const save = async (): Promise<void> => void saves.push((await saveAfterPrompt(gantry, sessionId)).saved);
      const zip = async (): Promise<void> => {
        rmSync(archive, { force: true });
        zips.push(await timed(scope, "zip", ["-r", "-q", archive, "."], workspace));
      };
      for (const each of rotate([zip, save], round)) await each();
    }
    const before = fingerprint(workspace);
    const unzipped = join(scope.folder, `unzipped-${times}`);
    mkdirSync(unzipped);
    const unzipMs = await timed(scope, "unzip", ["-q", archive, "-d", unzipped], scope.folder);
    await gantry.stop();
    // Moved away, not removed: after a removal ext4 spends a minute looking for other inodes.
    renameSync(join(gantry.state, "sandboxes"), join(gantry.state, "lost"));
    await gantry.start();
    await gantry.run({ prompt: "What is 7 * 6?", sessionId });
    const restored = (await gantry.log(sessionId)).find((event) => event.type === "session.restored");
    return {
      times,
      files: first.saved.files,
      mb: first.saved.bytes / 1e6,
      firstMs: first.saved.duration_ms,
      save: summarize(saves.map((save) => save.duration_ms)),
      newKb: summarize(saves.map((save) => save.new_bytes / 1000)),
      zip: summarize(zips),
      restoreMs: restored?.duration_ms ?? Number.NaN,
      unzipMs,
      isExact: fingerprint(workspace) === before,
    };
  } finally {
    await gantry.stop();
    await gantry.killAll();
    if (existsSync(gantry.state)) rmSync(gantry.state, { recursive: true, force: true, maxRetries: 5 });
  }
}

function toTable(sizes: readonly Size[]): Table {
  return {
    columns: [
      "workspace",
      "first save, ms",
      "save after one change, ms",
      "new, KB",
      "`zip -r`, ms",
      "save / zip",
      "target",
      "restore, ms",
      "`unzip`, ms",
      "exact",
    ],
    rows: sizes.map((size) => [
      `${size.times}×: ${size.files} files, ${size.mb.toFixed(0)} MB`,
      size.firstMs.toFixed(0),
      withSpread(size.save),
      size.newKb.median.toFixed(0),
      withSpread(size.zip),
      (size.save.median / size.zip.median).toFixed(3),
      "≤ 0.05",
      size.restoreMs.toFixed(0),
      size.unzipMs.toFixed(0),
      size.isExact ? "yes" : "NO",
    ]),
    notes: [
      `The files are Gantry's own dependencies, those below ${LARGEST_FILE / 1024} KB. The session measures a save, from asking for the scan to the commit, including encryption and the store. New data are the changed file, the growth of the conversation, and the pages of the list that changed. Medians of ${ROUNDS}, [least..90th percentile], alternating with \`zip\`.`,
      "Restored once, after the sandbox's whole disk was removed; `unzip` likewise. Exact: names, modes, times and contents are as before.",
    ],
  };
}

export const snapshots: Group = {
  name: "snapshots",
  async run(say) {
    await using scope = new Scope();
    const sizes: Size[] = [];
    for (const times of TIMES) {
      sizes.push(await measure(scope, times));
      say(`${times}× done`);
    }
    return toTable(sizes);
  },
};

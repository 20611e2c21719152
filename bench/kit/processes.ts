import { readFileSync, readdirSync } from "node:fs";

/** What Linux reports about running processes. Processes that end meanwhile are left out. */

/** `getconf CLK_TCK` on every Linux there is. */
const MS_PER_TICK = 10;

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
}

/** A process and everything below it. */
export function treeOf(root: number): number[] {
  const children = Map.groupBy(allStats(), (stat) => stat.parent);
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []).map((stat) => stat.pid));
  return tree;
}

/** CPU time of a process tree since it started, including children that ended, in steps of 10 ms. */
export function cpuMs(root: number): number {
  const tree = new Set(treeOf(root));
  let ticks = 0;
  for (const stat of allStats()) if (tree.has(stat.pid)) ticks += stat.ticks;
  return ticks * MS_PER_TICK;
}

/** Resident memory of these processes together, in MB (10⁶ bytes). Shared pages are counted once per process. */
export function rssMb(pids: readonly number[]): number {
  let kib = 0;
  for (const pid of pids) kib += Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
  return (kib * 1024) / 1e6;
}

export function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

function allStats(): Stat[] {
  const stats: Stat[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const text = read(`/proc/${name}/stat`);
    // The name in parentheses may contain anything, so fields are counted from its end.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (fields.length < 15) continue;
    const [parent, ...ticks] = [1, 11, 12, 13, 14].map((index) => Number(fields[index]));
    stats.push({ pid: Number(name), parent: parent ?? 0, ticks: ticks.reduce((sum, value) => sum + value, 0) });
  }
  return stats;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

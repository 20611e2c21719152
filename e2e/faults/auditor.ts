import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import type { Gantry } from "../kit/gantry.ts";
import type { ModelCall } from "./model.ts";
import type { Nemesis, Span } from "./nemesis.ts";
import type { Client } from "./workload.ts";
import { statusIn, waitingIn } from "./workload.ts";

/**
 * Reads what is stored (the log and the runs of each session, the ledger, the files that tools wrote) and the model's
 * own log, and says what must never be. It knows nothing of how the product works.
 */

type Of<T extends StoredEvent["type"]> = Extract<StoredEvent, { type: T }>;
const only = <T extends StoredEvent["type"]>(log: readonly StoredEvent[], type: T): Of<T>[] =>
  log.filter((event): event is Of<T> => event.type === type);

/** Findings about one session. */
export async function auditSession(
  gantry: Gantry,
  client: Client,
  calls: readonly ModelCall[],
  { losses, fullDisks }: Pick<Nemesis, "losses" | "fullDisks">,
): Promise<string[]> {
  const { sessionId } = client;
  const log = await gantry.log(sessionId);
  const found: string[] = [];
  const check = (holds: boolean, what: string): void => {
    if (!holds) found.push(`${sessionId}: ${what}`);
  };

  log.forEach((event, at) => check(event.seq === at + 1, `seq ${event.seq} stands at position ${at + 1}`));
  check(new Set(log.map((event) => event.id)).size === log.length, "an event id comes twice");

  const queued = only(log, "run.queued").map((event) => event.run_id);
  const ended = only(log, "run.ended");
  const taken = client.prompts.flatMap(({ runId }) => runId ?? []);
  for (const runId of taken) check(queued.includes(runId), `${runId} was accepted and is not in the log`);
  for (const runId of queued) {
    const ends = ended.filter((event) => event.run_id === runId).length;
    check(ends === 1, `${runId} has ended ${ends} times`);
    const starts = only(log, "run.started").filter((event) => event.run_id === runId).length;
    check(starts <= 1, `${runId} has started ${starts} times`);
  }
  check(ended.length === queued.length, `${queued.length} runs were queued and ${ended.length} have ended`);
  check(statusIn(log) === "idle" && waitingIn(log).length === 0, "the session is not idle");
  const runs = (await (await gantry.fetch(`/v1/sessions/${sessionId}/runs?limit=1000`)).json()) as {
    data: { id: string; state: string }[];
  };
  for (const run of runs.data) check(run.state === "ended", `${run.id} is ${run.state} in the table of runs`);

  const source = client.source && (await gantry.log(client.source.sessionId));
  if (source) auditFork(source, log, check);
  // What a copy took over must be there when it was kept where it came from.
  const inherited = log.find((event) => event.type === "session.forked")?.seq ?? 0;
  const isInherited = (runId: string | null): boolean =>
    log.some((event) => event.type === "run.ended" && event.run_id === runId && event.seq < inherited);
  const kept = (runId: string | null): boolean => wasKept(source && isInherited(runId) ? source : log, runId, losses);
  const last = client.prompts.at(-1);
  const lastEnd = ended.find((event) => event.run_id === last?.runId);
  check(lastEnd?.outcome === "succeeded", `nothing was broken, and the last prompt ${JSON.stringify(lastEnd?.error)}`);
  for (const { runId, cancelled, effects } of client.prompts) {
    if (!runId || only(log, "run.started").some((event) => event.run_id === runId)) continue;
    for (const effect of effects) check(!client.effects().includes(effect), `${effect} of a run that never started`);
    const outcome = ended.find((event) => event.run_id === runId)?.outcome;
    if (cancelled) check(outcome !== "succeeded", `${runId} was taken back and has succeeded`);
  }
  auditEffects(client, log, kept, calls, check);
  const remembered = (runId: string | null): boolean => kept(runId) && wasWritten(log, runId, fullDisks);
  auditMemory(client, log, remembered, calls, check);
  return found;
}

/** A copy begins with its source's log, up to an event that the copy's log names. */
function auditFork(source: readonly StoredEvent[], log: readonly StoredEvent[], check: Check): void {
  const mark = log.find((event) => event.type === "session.forked");
  check(mark !== undefined, "a copy does not say of what");
  const [mine, theirs] = [log, source].map((each) => each.slice(0, mark?.from_seq ?? 0));
  check(mark?.seq === (mark?.from_seq ?? 0) + 1, "a copy's own events do not follow on what it took over");
  check(JSON.stringify(mine) === JSON.stringify(theirs), "a copy took over another log than its source has");
}

type Check = (holds: boolean, what: string) => void;

/** Each prompt's effects at most once; those of a good run exactly once; what was refused not at all. */
function auditEffects(
  client: Client,
  log: readonly StoredEvent[],
  kept: (runId: string | null) => boolean,
  calls: readonly ModelCall[],
  check: Check,
): void {
  const lines = client.effects().split("\n");
  const count = (effect: string): number => lines.filter((line) => line === effect).length;
  const denied = new Set(
    only(log, "user.tool_confirmation").flatMap((event) => (event.result === "deny" ? event.tool_use_id : [])),
  );
  const allowed = new Set(
    only(log, "user.tool_confirmation").flatMap((event) => (event.result === "allow" ? event.tool_use_id : [])),
  );
  for (const { toolUseId, allow } of client.answers)
    check((allow ? allowed : denied).has(toolUseId), `an answer to ${toolUseId} was taken and is not in the log`);
  // A command that failed said so: there was no room for what it wrote.
  const failed = new Set(only(log, "agent.tool_result").flatMap((e) => (e.is_error === true ? e.tool_use_id : [])));
  const outcomes = new Map(only(log, "run.ended").map((event) => [event.run_id, event.outcome]));
  // Cut off in the middle of an answer the engine keeps what it has heard, and the script takes that for a step done.
  const cutEnds = only(log, "span.model_request_end").filter((event) => event.is_error);
  const askedAgain = new Set([...only(log, "session.error"), ...cutEnds].map((event) => event.run_id));
  const wasCutOff = (runId: string | null, marker: string): boolean =>
    askedAgain.has(runId) || calls.some((call) => call.state !== "served" && call.messages.includes(marker));
  for (const { effects, runId, marker } of client.prompts) {
    for (const effect of effects) {
      const times = count(effect);
      check(times <= 1, `${effect} happened ${times} times`);
      const uses = only(log, "agent.tool_use").filter((event) => JSON.stringify(event.input).includes(effect));
      if (uses.length > 0 && uses.every((use) => denied.has(use.id)))
        check(times === 0, `${effect} happened although it was refused`);
      if (client.asks && times > 0)
        check(
          uses.some((use) => allowed.has(use.id)),
          `${effect} happened without having been allowed`,
        );
      if (uses.length === 0 && wasCutOff(runId, marker)) continue;
      const good = outcomes.get(runId) === "succeeded" && !uses.some((use) => denied.has(use.id) || failed.has(use.id));
      if (good && kept(runId)) check(times === 1, `${effect} of a good run happened ${times} times`);
    }
  }
}

/**
 * Whether what a run left must still be there: a loss of the sandbox's disk takes what no snapshot held by then. A
 * moment is left for what was told and not yet stored when it struck.
 */
function wasKept(log: readonly StoredEvent[], runId: string | null, losses: readonly number[]): boolean {
  const end = log.find((event) => event.type === "run.ended" && event.run_id === runId);
  const endAt = Date.parse(end?.processed_at ?? "");
  const savedAt = log
    .filter((event) => event.type === "workspace.snapshot" && event.seq > (end?.seq ?? Infinity))
    .map((event) => Date.parse(event.processed_at));
  return losses.every((lostAt) => endAt > lostAt || savedAt.some((at) => at < lostAt));
}

/**
 * Whether the engine could write down what was said in a run. While the disk is full it cannot, and goes on: it knows it
 * for as long as it lives.
 */
function wasWritten(log: readonly StoredEvent[], runId: string | null, fullDisks: readonly Span[]): boolean {
  const at = (type: "run.started" | "run.ended"): number =>
    Date.parse(log.find((event) => event.type === type && event.run_id === runId)?.processed_at ?? "");
  const [startedAt, endedAt] = [at("run.started"), at("run.ended")];
  // The end of a run that could not be stored came later than the engine's.
  return fullDisks.every(({ from, to }) => endedAt < from || startedAt > to);
}

/** The last conversation that the model was shown knows every prompt that was answered. */
function auditMemory(
  client: Client,
  log: readonly StoredEvent[],
  kept: (runId: string | null) => boolean,
  calls: readonly ModelCall[],
  check: Check,
): void {
  const outcomes = new Map(only(log, "run.ended").map((event) => [event.run_id, event.outcome]));
  const good = client.prompts.filter(({ runId }) => outcomes.get(runId) === "succeeded" && kept(runId));
  const last = good.at(-1);
  const shown = last && calls.findLast((call) => call.messages.includes(last.marker))?.messages;
  for (const { marker } of good) check(shown?.includes(marker) === true, `${marker} was forgotten`);
}

/** The ledger against the model's own log. Calls that were under way while something was broken may be missing. */
export async function auditUsage(
  gantry: Gantry,
  calls: readonly ModelCall[],
  outages: readonly { from: number; to: number }[],
): Promise<string[]> {
  const { data } = (await (await gantry.fetch("/v1/usage")).json()) as {
    data: { requests: number; input_tokens: number; output_tokens: number }[];
  };
  const ledger = { input: 0, output: 0 };
  for (const row of data) {
    ledger.input += row.input_tokens;
    ledger.output += row.output_tokens;
  }
  const undisturbed = (call: ModelCall): boolean =>
    call.state === "served" && !outages.some(({ from, to }) => call.at < to + 1_000 && call.endedAt + 2_000 > from);
  const sum = (of: readonly ModelCall[], what: "input" | "output"): number =>
    of.reduce((total, call) => total + call[what], 0);
  const found: string[] = [];
  for (const what of ["input", "output"] as const) {
    const least = sum(calls.filter(undisturbed), what);
    const most = calls.reduce(
      (total, call) => total + (call.state === "served" ? call[what] : call[what] + call.sent),
      0,
    );
    if (ledger[what] < least)
      found.push(`the ledger counts ${ledger[what]} ${what} tokens, the model served at least ${least}`);
    const estimated = what === "output" ? estimatedOutput(gantry) : 0;
    if (ledger[what] > most + estimated)
      found.push(`the ledger counts ${ledger[what]} ${what} tokens, the model served ${most}`);
  }
  return found;
}

/**
 * Output tokens of calls whose client left before the model had said what it counts: the ledger has what was heard, by
 * its length.
 */
function estimatedOutput(gantry: Gantry): number {
  return gantry
    .logged('"estimated":true')
    .map((line) => (JSON.parse(line) as { usage: { outputTokens: number } | null }).usage?.outputTokens ?? 0)
    .reduce((sum, tokens) => sum + tokens, 0);
}

/** What must not be left when the product has been stopped. */
export function auditRest(gantry: Gantry): string[] {
  const left = Object.entries(gantry.processes()).flatMap(([part, pids]) => pids.map((pid) => `${part} ${pid}`));
  const litter = readdirSync(gantry.state, { recursive: true, encoding: "utf8" }).filter(
    (path) => /\.(tmp|part|partial)$/.test(path) && !path.includes("/workspace/") && !path.includes("/engine/"),
  );
  const spares = readdirSync(join(gantry.state, "sandboxes")).includes(".pool")
    ? readdirSync(join(gantry.state, "sandboxes", ".pool"))
    : [];
  return [
    ...left.map((process) => `left running: ${process}`),
    ...litter.map((path) => `left behind: ${path}`),
    ...spares.map((name) => `left behind: the spare ${name}`),
  ];
}

/** Sessions whose acknowledgement the runner was still waiting for when it gave up; null when it did not say. */
export function unsavedAtStop(gantry: Gantry): number | null {
  const lines = readFileSync(join(gantry.state, "log", "gantry.ndjson"), "utf8").split("\n");
  const last = lines.findLast((line) => line.includes('"event":"drained"'));
  return last === undefined ? null : (JSON.parse(last) as { unsaved: number }).unsaved;
}

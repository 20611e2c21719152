import type { SessionEvent } from "@gantry/protocol/event.ts";
import { newId } from "@gantry/protocol/ids.ts";
import type { ToolAnswer } from "@gantry/protocol/link.ts";
import type { RunError } from "@gantry/protocol/run-end.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { NoCapacity } from "../../sandbox/sandbox.ts";
import { RunnerLink } from "../link/runner-link.ts";
import { ArmedAlarm } from "../store/alarms.ts";
import type { Submission, Submitted } from "../store/facts.ts";
import { mergeOptions } from "../store/run-options.ts";
import type { OptionSources } from "../store/run-options.ts";
import { MAX_QUEUED } from "../store/run-queue.ts";
import type { Run } from "../store/run-queue.ts";
import { onWatchdog } from "./decide.ts";
import type { DriverDeps } from "./driver-deps.ts";
import { Gate } from "./gate.ts";
import { Handover } from "./handover.ts";
import type { SessionParts } from "./session-parts.ts";
import { RUN_ERROR, allowCall, endRun, failRun, interruptRun, parkRun, startRun, takeAnswer } from "./transitions.ts";

/** Period of the watchdog while a run is active. */
export const WATCHDOG_MS = 3_000;

/** How many times an unreadable run is resent: the first time the link may have been damaged. */
const MAX_UNREAD = 3;

/**
 * Makes queued runs happen: starts the next one and keeps a link to the runner while one is active. `Handover` does what is
 * to be done on that link. Everything that must not be forgotten is in SQLite; what is in memory can be lost at any moment,
 * and the alarm brings the driver back.
 */
export class Driver {
  readonly #deps: DriverDeps;
  readonly #gate: Gate;
  readonly #link: RunnerLink;
  readonly #handover: Handover;
  readonly #alarm: ArmedAlarm;
  /** The run that the log says is waiting for a free machine. */
  #waitsForMachine: string | null = null;

  constructor(deps: DriverDeps) {
    this.#deps = deps;
    this.#alarm = new ArmedAlarm(deps.setAlarm);
    this.#gate = new Gate(deps, {
      end: (run, ended, event) => endRun(deps, run, ended, event),
      goOn: () => this.kick(),
    });
    const { lease, now, report } = deps;
    this.#link = new RunnerLink(
      {
        dial: deps.dial,
        nextHello: () => ({ epoch: lease.nextEpoch(), cursor: lease.cursor() }),
        now,
        report,
      },
      {
        onReport: (message) => this.#handover.receive(message),
        // The run may have been interrupted meanwhile, and nobody would close this link.
        onOpen: () => this.#isAtWork() || this.kick(),
        onUnread: () => this.#givesUpUnread(),
        onDialFailed: (error) => this.#waitsForCapacity(error),
        onProved: (runId) => this.#handover.sendIfCurrent(runId),
        onTakenBack: (runId) => this.#handover.takeBack(runId),
        isWanted: () => this.#isAtWork(),
      },
    );
    this.#handover = new Handover(deps, this.#link, this.#gate, {
      kick: () => this.kick(),
      park: (run, isThere) => this.#park(run, isThere),
      endFailed: (run, type, message) => this.#endFailed(run, type, message),
    });
  }

  /** Call whenever something may have changed: a prompt was accepted, a run ended, the object woke up. */
  kick(): void {
    const { queue } = this.#deps;
    const run = queue.running() ?? this.#startNext();
    if (!run || run.state === "parked") {
      // The alarm stays set: it finds nothing and is not set again, while removing it would be one more write.
      this.#link.rest();
      return;
    }
    this.#alarm.arm(this.#deps.now(), WATCHDOG_MS);
    if (this.#gate.holds(run)) return;
    if (!this.#link.isOpen) this.#link.open();
    else if (run.sentTo === null) this.#handover.send(run);
  }

  /** A prompt is about to be stored. A ping sent now overlaps with that; sent afterwards it would delay the run. */
  expect(): void {
    if (this.#link.isReady) this.#link.isDoubted();
  }

  /** A prompt may come soon: starts the engine now, unless a run is in progress or queued. */
  warm(options: RunOptions): void {
    const { queue } = this.#deps;
    if (queue.running() || queue.next()) return;
    this.#handover.warming = options;
    if (!this.#link.isOpen) this.#link.open();
    else if (this.#link.isReady) this.#handover.sendWarming();
  }

  /** The alarm. Arms the next one first: an alarm that fired is gone, and what follows may fail. */
  watch(): void {
    const { queue, now } = this.#deps;
    this.#alarm.fired();
    const run = queue.running() ?? this.#startNext();
    if (!run || run.state === "parked") return this.#alarm.disarm();
    this.#alarm.arm(this.#deps.now(), WATCHDOG_MS);
    this.carryOutPeerCalls();
    if (this.#gate.holds(run)) return;
    const decision = onWatchdog({ now: now(), ...this.#link.health });
    switch (decision) {
      case "ping":
        if (run.sentTo === null) this.#handover.send(run);
        return this.#link.send({ type: "ping", at: now() });
      case "redial":
        return this.#link.redial("silent");
      case "dial":
        return this.#link.open();
      case "give_up":
        this.#link.forgetUnreachable();
        if (!run.interruptRequested && this.#deps.approvals.waits(run.id) === "for_client") return this.#park(run);
        return this.#endFailed(run, "sandbox_lost", RUN_ERROR.unreachable);
      default:
        decision satisfies never;
    }
  }

  /** Asks the run in progress to stop. False: nothing runs. */
  interrupt(): boolean {
    const { queue, transaction, log } = this.#deps;
    const run = queue.running();
    if (!run) return false;
    transaction(() => interruptRun(this.#deps, run));
    log.announce();
    if (run.sentTo === null) this.kick();
    else this.#link.send({ type: "run.interrupt", runId: run.id });
    return true;
  }

  /** Takes a run out of the queue, or stops it when it is in progress. False: it has ended, or there is no such run. */
  cancel(runId: string): boolean {
    const { queue, transaction, log } = this.#deps;
    const run = queue.get(runId);
    if (!run || run.state === "ended") return false;
    if (run.state !== "queued") return this.interrupt();
    transaction(() => endRun(this.#deps, run, { outcome: "cancelled", error: null }));
    log.announce();
    // A link may be open for it, when its start had failed.
    this.kick();
    return true;
  }

  /**
   * Takes an answer to a tool call that waits: stores it with its event, then sends it. False: no such call waits. The
   * runner may be told an answer twice; it takes each once. A parked run goes on when everything is answered.
   */
  answer(toolUseId: string, answer: ToolAnswer, event: SessionEvent): boolean {
    const { queue, approvals, transaction, log } = this.#deps;
    const call = approvals.get(toolUseId);
    const run = queue.running();
    if (!call || call.answer || call.runId !== run?.id) return false;
    transaction(() => takeAnswer(this.#deps, run, toolUseId, answer, event));
    log.announce();
    if (run.state === "parked") this.kick();
    else this.#handover.sendAnswers(run);
    return true;
  }

  /** Allows a call that a worker carries out: from now on its result is taken. False: no such call waits for that. */
  allow(toolUseId: string, event: SessionEvent): boolean {
    const { queue, approvals, transaction, log } = this.#deps;
    const run = queue.running();
    const call = approvals.get(toolUseId);
    if (call?.kind !== "worker_ask" || call.answer || call.runId !== run?.id) return false;
    transaction(() => allowCall(this.#deps, run, toolUseId, event));
    log.announce();
    return true;
  }

  /** Carries out what the agent wants of other sessions. Calls that are under way already are left alone. */
  carryOutPeerCalls(): void {
    this.#handover.carryOutPeerCalls();
  }

  /** Closes the link; the next run begins with a new one. */
  drop(why: string): void {
    this.#link.drop(why);
  }

  /** The run has no engine and needs none before it is answered. */
  #park(run: Run, isThere = false): void {
    this.#deps.transaction(() => parkRun(this.#deps, run, isThere));
    this.kick();
  }

  #startNext(): Run | null {
    const { queue, log, transaction } = this.#deps;
    const next = queue.next();
    if (!next) return null;
    // First: when it cannot be started now (a full disk), nothing else would come back to it.
    this.#alarm.arm(this.#deps.now(), WATCHDOG_MS);
    this.#link.forgetUnreachable();
    this.#handover.unread = 0;
    transaction(() => startRun(this.#deps, next));
    log.announce();
    return queue.running();
  }

  /** The runner closes a link over what it cannot read. Resent for ever, the run would close every link: it ends. */
  #givesUpUnread(): boolean {
    const run = this.#deps.queue.running();
    this.#handover.unread += 1;
    if (!run || this.#handover.unread < MAX_UNREAD) return false;
    this.#endFailed(run, "engine_failed", RUN_ERROR.unread);
    return true;
  }

  /**
   * Whether a dial failed because no machine is free. The log says so once, and the run waits for as long as it takes; not
   * a run that had begun, because its sandbox is gone.
   */
  #waitsForCapacity(error: unknown): boolean {
    const { queue, log, now, newEventId } = this.#deps;
    const run = queue.running();
    if (!(error instanceof NoCapacity) || run?.sentTo !== null) return false;
    if (this.#waitsForMachine !== run.id) {
      this.#waitsForMachine = run.id;
      log.append([{ id: newEventId(), runId: run.id, at: now(), event: { type: "sandbox.waiting", position: 0 } }]);
      log.announce();
    }
    return true;
  }

  /** Whether a run is in progress that needs a runner. */
  #isAtWork(): boolean {
    return this.#deps.queue.running()?.state === "running";
  }

  /** Ends a run that the runner did not end. */
  #endFailed(run: Run, type: RunError["type"], message: string): void {
    const { transaction, log, queue } = this.#deps;
    transaction(() => failRun(this.#deps, run, { type, message }));
    log.announce();
    if (!queue.running()) this.kick();
  }
}

/**
 * Accepts a prompt: the run and its first events are one transaction, and when this returns it is stored. A submission
 * that is repeated under its run's id finds that run. `defaults` fill in what neither the submission nor the session says.
 */
export function accept(
  parts: SessionParts,
  submission: Submission,
  defaults: Pick<OptionSources, "defaultMode" | "model">,
): Submitted {
  const { log, queue, settings, transaction } = parts;
  const known = submission.runId === undefined ? null : queue.get(submission.runId);
  if (known) {
    const { after, id: eventId } = log.beginOf(known.id, known.promptSeq);
    return { ok: true, runId: known.id, after, eventId, repeated: true };
  }
  const setup = settings.setup();
  if (setup?.archivedAt) return { ok: false, error: "archived" };
  const waiting = queue.queued();
  if (waiting >= MAX_QUEUED) return { ok: false, error: "queue_full" };
  const runId = submission.runId ?? newId("run");
  const now = Date.now();
  const options = mergeOptions({
    ...defaults,
    setup,
    wanted: submission.options,
    isApi: submission.trigger === "api",
    context: submission.system?.content.map((block) => block.text).join("\n\n"),
  });
  const eventId = newId("event");
  const after = log.last();
  const position = waiting + (queue.running() ? 1 : 0);
  transaction(() => {
    const events = [
      { type: "run.queued" as const, position, trigger: submission.trigger },
      { type: "user.message" as const, content: [...submission.prompt] },
    ];
    const system = submission.system && { type: "system.message" as const, content: [...submission.system.content] };
    const promptSeq = log.append(
      events.map((event) => ({
        id: event.type === "user.message" ? eventId : newId("event"),
        runId,
        at: now,
        event,
      })),
    );
    if (system) log.append([{ id: submission.system?.eventId ?? "", runId, at: now, event: system }]);
    queue.add({ id: runId, trigger: submission.trigger, options, promptSeq, now });
  });
  return { ok: true, runId, after, eventId };
}

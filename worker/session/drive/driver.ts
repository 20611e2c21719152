import type { SessionEvent } from "@gantry/protocol/event.ts";
import type { RunError } from "@gantry/protocol/run-end.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { CLOSE } from "@gantry/protocol/link.ts";
import type { Frame, Report, RunStart, ToolAnswer } from "@gantry/protocol/link.ts";
import { Armed } from "../link/armed.ts";
import { toAnsweredCall } from "../store/approvals.ts";
import { onFrame, onWatchdog, onWelcome } from "./decide.ts";
import type { DriverDeps } from "./driver-deps.ts";
import { engineStart } from "./engine-start.ts";
import { acceptFrame, storeEvents } from "./frames.ts";
import { RestingLink } from "../link/resting-link.ts";
import { Gate } from "./gate.ts";
import { Place } from "./place.ts";
import type { Link } from "../link/dial.ts";
import type { Run } from "../store/run-queue.ts";
import { SAID, allowCall, endRun, failRun, interruptRun, parkRun, startRun, takeAnswer } from "./transitions.ts";

/** While a run is active the watchdog looks this often. */
export const WATCHDOG_MS = 3_000;

/** First pause before dialling again; doubles up to the watchdog's period. */
const REDIAL_MS = 150;

/** So often is a run sent that the runner says it cannot read: the first time a link may have been spoilt. */
const MAX_UNREAD = 3;

/**
 * Makes queued runs happen: starts the next one, keeps a link to the runner while one is active, stores what the
 * runner reports and only then acknowledges it. Everything it must not forget is in SQLite; what is in memory (the
 * link) can be lost at any moment, and the alarm brings the driver back.
 */
export class Driver {
  readonly #deps: DriverDeps;
  readonly #gate: Gate;
  #link: Link | null = null;
  /** Whether the link's runner has said who it is and has the session's files: only then a run is sent. */
  #ready = false;
  #dialling = false;
  #lastHeardAt = 0;
  #unreachableSince: number | null = null;
  readonly #place = new Place();
  #redialMs = REDIAL_MS;
  readonly #alarm: Armed;
  readonly #resting = new RestingLink();
  /** The engine that is to start ahead of a prompt, as soon as there is a link. */
  #warming: RunOptions | null = null;
  /** Links that the runner closed in a row over what it could not read. */
  #unread = 0;

  constructor(deps: DriverDeps) {
    this.#deps = deps;
    this.#alarm = new Armed(deps.setAlarm);
    this.#gate = new Gate(deps, {
      end: (run, ended, event) => endRun(deps, run, ended, event),
      goOn: () => this.kick(),
    });
  }

  /** Call whenever something may have changed: a prompt was accepted, a run ended, the object woke up. */
  kick(): void {
    const { queue } = this.#deps;
    const run = queue.running() ?? this.#startNext();
    if (!run || run.state === "parked") {
      // The alarm stays: it finds nothing and is not set again, while taking it away would be a write more.
      this.#resting.rest(() => this.#isAtWork() || this.drop("idle"));
      return;
    }
    this.#alarm.arm(this.#deps.now(), WATCHDOG_MS);
    if (this.#gate.holds(run)) return;
    if (!this.#link) void this.#connect();
    else if (run.sentTo === null) this.#send(run);
  }

  /** A prompt is about to be stored. What is asked now does not wait for that; afterwards it would. */
  expect(): void {
    if (this.#link && this.#ready) this.#doubts(this.#link);
  }

  /** Somebody may be about to send a prompt: has the engine start now, if nothing is under way. */
  warm(options: RunOptions): void {
    const { queue } = this.#deps;
    if (queue.running() || queue.next()) return;
    this.#warming = options;
    if (!this.#link) void this.#connect();
    else if (this.#ready) this.#sendWarming();
  }

  #sendWarming(): void {
    const start = this.#warming && engineStart(this.#deps, this.#warming);
    this.#warming = null;
    if (start && !this.#deps.queue.running()) this.#link?.send({ type: "engine.warm", ...start });
  }

  /** The alarm. Arms the next one first: a fired alarm is gone, and what follows may fail. */
  watch(): void {
    const { queue, now } = this.#deps;
    this.#alarm.fired();
    const run = queue.running() ?? this.#startNext();
    if (!run || run.state === "parked") return this.#alarm.disarm();
    this.#alarm.arm(this.#deps.now(), WATCHDOG_MS);
    this.carryOutPeerCalls();
    if (this.#gate.holds(run)) return;
    const decision = onWatchdog({
      now: now(),
      linked: this.#link !== null,
      lastHeardAt: this.#lastHeardAt,
      unreachableSince: this.#unreachableSince,
    });
    switch (decision) {
      case "ping":
        if (run.sentTo === null) this.#send(run);
        return this.#link?.send({ type: "ping", at: now() });
      case "redial":
        return this.#redial("silent");
      case "dial":
        return void this.#connect();
      case "give_up":
        this.#unreachableSince = null;
        if (!run.interruptRequested && this.#deps.approvals.waits(run.id) === "for_somebody") return this.#park(run);
        return this.#endFailed(run, "sandbox_lost", SAID.unreachable);
      default:
        decision satisfies never;
    }
  }

  /** Asks the run in progress to stop. False when there is none. */
  interrupt(): boolean {
    const { queue, transaction, log } = this.#deps;
    const run = queue.running();
    if (!run) return false;
    transaction(() => interruptRun(this.#deps, run));
    log.announce();
    if (run.sentTo === null) this.kick();
    else this.#link?.send({ type: "run.interrupt", runId: run.id });
    return true;
  }

  /** Takes a run out of the queue, or stops it when it is in progress. False when it has ended or never was. */
  cancel(runId: string): boolean {
    const { queue, transaction, log } = this.#deps;
    const run = queue.get(runId);
    if (!run || run.state === "ended") return false;
    if (run.state !== "queued") return this.interrupt();
    transaction(() => endRun(this.#deps, run, { outcome: "cancelled", error: null }));
    log.announce();
    // A link may be there for it, when its start had failed.
    this.kick();
    return true;
  }

  /**
   * Takes an answer to a tool call that waits: stores it with its event, then sends it. False when no such call waits.
   * The answer may be told to the runner again; it takes each once. A parked run goes on when all is answered.
   */
  answer(toolUseId: string, answer: ToolAnswer, event: SessionEvent): boolean {
    const { queue, approvals, transaction, log } = this.#deps;
    const call = approvals.get(toolUseId);
    const run = queue.running();
    if (!call || call.answer || call.runId !== run?.id) return false;
    transaction(() => takeAnswer(this.#deps, run, toolUseId, answer, event));
    log.announce();
    if (run.state === "parked") this.kick();
    else this.#tellAnswers(run);
    return true;
  }

  /** Somebody allows a call that a worker is to carry out: from now on its result is taken. False when none waits for that. */
  allow(toolUseId: string, event: SessionEvent): boolean {
    const { queue, approvals, transaction, log } = this.#deps;
    const run = queue.running();
    const call = approvals.get(toolUseId);
    if (call?.kind !== "worker_ask" || call.answer || call.runId !== run?.id) return false;
    transaction(() => allowCall(this.#deps, run, toolUseId, event));
    log.announce();
    return true;
  }

  /** Tells the runner that has the run what was answered. Once it may have heard, what was asked about may have begun. */
  #tellAnswers(run: Run): void {
    const { lease, approvals } = this.#deps;
    const runnerId = lease.cursor()?.runnerId;
    if (!this.#link || !this.#ready || run.sentTo === null || runnerId === undefined) return; // the welcome tells them
    const answered = [...approvals.answered(run.id), ...this.#deps.peers.answered(run.id)];
    approvals.sent(run.id, runnerId);
    this.#deps.files?.runStarted(run.id);
    for (const { toolUseId, answer } of answered)
      if (answer) this.#link.send({ type: "tool.answer", runId: run.id, toolUseId, answer });
  }

  /** Nobody holds the run, and it needs nothing before it is answered. */
  #park(run: Run, isThere = false): void {
    this.#deps.transaction(() => parkRun(this.#deps, run, isThere));
    this.kick();
  }

  /** The runner has let go of a run that waits, before anything it was answered had begun. */
  #letGo(runId: string): void {
    const { queue, approvals } = this.#deps;
    const run = queue.running();
    if (run?.id !== runId || run.sentTo === null) return;
    approvals.sent(runId, null);
    if (run.interruptRequested || approvals.waits(runId) === "no")
      return this.#endFailed(run, "sandbox_lost", SAID.stopped);
    if (approvals.waits(runId) === "for_somebody") return this.#park(run, true);
    queue.sent(runId, null);
    this.kick();
  }

  #startNext(): Run | null {
    const { queue, log, transaction } = this.#deps;
    const next = queue.next();
    if (!next) return null;
    // First: when it cannot be started now (a full disk), nobody else would come back to it.
    this.#alarm.arm(this.#deps.now(), WATCHDOG_MS);
    // Each run has its own minute: what could not be reached for one before says nothing about now.
    this.#unreachableSince = null;
    this.#unread = 0;
    transaction(() => startRun(this.#deps, next));
    log.announce();
    return queue.running();
  }

  async #connect(): Promise<void> {
    if (this.#dialling) return;
    this.#takeBack();
    this.#dialling = true;
    const { lease, now, report } = this.#deps;
    let mine: Link | null = null;
    try {
      const link = await this.#deps.dial(
        { epoch: lease.nextEpoch(), cursor: lease.cursor() },
        {
          onReport: (message) => {
            if (mine && this.#link !== mine) return;
            this.#lastHeardAt = now();
            this.#receive(message);
            this.#giveHeldBack();
          },
          onClose: (reason, code) => {
            if (this.#link !== mine) return;
            this.#link = null;
            report({ event: "link_closed", reason });
            if (code !== CLOSE.badMessage || !this.#givesUpUnread()) this.#redialSoon();
          },
        },
      );
      mine = link;
      this.#link = link;
      this.#ready = false;
      this.#lastHeardAt = now();
      this.#unreachableSince = null;
      this.#redialMs = REDIAL_MS;
      // The run may have been interrupted meanwhile, and nobody would close this link.
      if (!this.#isAtWork()) this.kick();
    } catch (error) {
      this.#unreachableSince = this.#place.isAwaited(this.#deps, error) ? null : (this.#unreachableSince ?? now());
      report({ event: "dial_failed", error: String(error) });
      this.#redialSoon();
    } finally {
      this.#dialling = false;
    }
  }

  /** The runner closes a link over what it cannot read. Sent again and again it would close every one: the run ends. */
  #givesUpUnread(): boolean {
    const run = this.#deps.queue.running();
    this.#unread += 1;
    if (!run || this.#unread < MAX_UNREAD) return false;
    this.#endFailed(run, "engine_failed", SAID.unread);
    return true;
  }

  /** Tries again before the watchdog would. The alarm stays: a timer dies with the object. */
  #redialSoon(): void {
    if (!this.#isAtWork()) return;
    const pause = this.#redialMs;
    this.#redialMs = Math.min(this.#redialMs * 2, WATCHDOG_MS);
    setTimeout(() => {
      if (!this.#link && this.#isAtWork()) void this.#connect();
    }, pause);
  }

  #redial(reason: string): void {
    this.drop(reason);
    void this.#connect();
  }

  /** What was held back never left: it may be sent to whoever answers now. */
  #takeBack(): void {
    const { queue, approvals } = this.#deps;
    const heldBack = this.#resting.end();
    if (heldBack === null || queue.running()?.id !== heldBack) return;
    queue.sent(heldBack, null);
    approvals.sent(heldBack, null);
  }

  /** Whether the link has been silent for so long that it is asked for a sign of life first. */
  #doubts(link: Link): boolean {
    const giveUp = (): unknown => this.#link === link && this.#redial("silent");
    return this.#resting.doubts(link, this.#lastHeardAt, this.#deps.now(), giveUp);
  }

  /** The runner lives: what was held back may go. */
  #giveHeldBack(): void {
    const heldBack = this.#resting.end();
    const run = heldBack === null ? null : this.#deps.queue.running();
    if (run && run.id === heldBack) this.#send(run);
  }

  /** Whether a run is in progress that needs a runner. */
  #isAtWork(): boolean {
    return this.#deps.queue.running()?.state === "running";
  }

  #receive(report: Report): void {
    switch (report.type) {
      case "welcome":
        return this.#welcome(report);
      case "frame":
        return this.#store(report);
      case "refused": {
        const { queue, approvals } = this.#deps;
        if (queue.running()?.id === report.runId) queue.sent(report.runId, null);
        approvals.sent(report.runId, null);
        return this.drop("refused", true);
      }
      case "parked":
        // What it asked may be in a frame that is missing.
        if ((report.frame ?? 0) > (this.#deps.lease.cursor()?.frame ?? 0)) return this.drop("frame gap", true);
        return this.#letGo(report.runId);
      case "folder":
      case "transcript":
        return this.#deps.files?.hear(report);
      case "pong":
        return;
      default:
        report satisfies never;
    }
  }

  #welcome(welcome: Extract<Report, { type: "welcome" }>): void {
    const { queue, lease, approvals, newToken } = this.#deps;
    const run = queue.running();
    const decision = onWelcome(run, welcome, run ? approvals.waits(run.id) : "no");
    if (lease.cursor()?.runnerId !== welcome.runnerId) {
      this.#deps.transaction(() => {
        lease.moveTo(welcome.runnerId, newToken(welcome.engineToken));
        this.#deps.threads.abandon(this.#deps);
      });
      this.#deps.log.announce();
    }
    // A run that was given up while nobody could reach it: it must end before the runner takes another.
    if (welcome.activeRunId !== null && welcome.activeRunId !== run?.id)
      this.#link?.send({ type: "run.interrupt", runId: welcome.activeRunId });
    switch (decision) {
      case "none":
        return this.#makeReady(welcome, null);
      case "attached":
        this.#ready = true;
        if (run && run.sentTo !== welcome.runnerId) queue.sent(run.id, welcome.runnerId);
        if (run?.interruptRequested) this.#link?.send({ type: "run.interrupt", runId: run.id });
        return run ? this.#tellAnswers({ ...run, sentTo: welcome.runnerId }) : undefined;
      case "park":
        if (run) this.#park(run);
        return this.#makeReady(welcome, null);
      case "send":
        // Sent now it could be taken for lost with the runner.
        return welcome.draining ? this.drop("draining", true) : this.#makeReady(welcome, run);
      case "lost":
        if (run) this.#endFailed(run, "sandbox_lost", SAID.lost);
        return this.#makeReady(welcome, null);
      default:
        decision satisfies never;
    }
  }

  /** The runner gets the session's files if it does not have them; then it gets the run: `again`, or one not sent yet. */
  #makeReady(welcome: Extract<Report, { type: "welcome" }>, again: Run | null): void {
    const { queue, files } = this.#deps;
    const link = this.#link;
    const begin = (): void => {
      this.#ready = true;
      const run = queue.running();
      if (!run) this.#sendWarming();
      else if (run.state !== "parked" && (run.sentTo === null || run.id === again?.id)) this.#send(run);
    };
    const preparing = link && files?.prepare(welcome, queue.running()?.id ?? null);
    if (!preparing) return begin();
    const failed = (): void => {
      // The next run begins with a link of its own, and that with another try.
      this.drop("not restored");
      const run = queue.running();
      if (run?.sentTo === null) this.#endFailed(run, "restore_failed", SAID.withoutFiles);
    };
    const restored = (): void => {
      const run = queue.running();
      if (run && files?.lacksWorkOf(run.id)) this.#endFailed(run, "sandbox_lost", SAID.withoutWork);
      begin();
    };
    const ifOpen = (then: () => void) => (): void => void (this.#link === link && then());
    preparing.then(ifOpen(restored), ifOpen(failed));
  }

  #send(run: Run): void {
    if (this.#gate.holds(run)) return;
    const { queue, lease, approvals, deadlineMs } = this.#deps;
    const runnerId = lease.cursor()?.runnerId;
    const start = engineStart(this.#deps, run.options);
    const link = this.#link;
    if (!link || !this.#ready || runnerId === undefined || start === null) return; // the welcome sends it
    const answered = approvals.answered(run.id);
    const command: RunStart = {
      type: "run.start",
      runId: run.id,
      prompt: this.#gate.promptOf(run),
      ...start,
      deadlineMs,
      ...(run.wasParked || answered.length > 0 ? { resume: { calls: answered.map(toAnsweredCall) } } : {}),
    };
    if (run.sentTo !== runnerId) queue.sent(run.id, runnerId);
    approvals.sent(run.id, runnerId);
    if (this.#doubts(link)) return this.#resting.holdBack(run.id);
    link.send(command);
    if (run.interruptRequested) link.send({ type: "run.interrupt", runId: run.id });
  }

  #store(frame: Frame): void {
    const { queue, lease, log, transaction, report } = this.#deps;
    const stored = lease.cursor()?.frame ?? 0;
    const decision = onFrame(stored, frame.frame);
    if (decision === "gap") {
      report({ event: "frame_gap", stored, got: frame.frame });
      return this.drop("frame gap", true);
    }
    if (decision === "store") {
      this.#unread = 0;
      const run = queue.running();
      const events = acceptFrame(frame, run, this.#deps);
      // A run has one end and says it itself; whatever else claims to be one is left out.
      const ended = events.find((entry) => entry.event.type === "run.ended" && entry.runId !== null);
      transaction(() => {
        storeEvents(this.#deps, run, events, ended);
        lease.advance(frame.frame);
      });
      log.announce();
      this.carryOutPeerCalls();
      if (ended) {
        this.#acknowledge(frame.frame);
        return this.kick();
      }
    }
    this.#acknowledge(Math.max(stored, frame.frame));
  }

  /** What the agent wants of other sessions; what is under way already is left alone. */
  carryOutPeerCalls(): void {
    this.#deps.peers.carryOut((answer) => this.#link?.send({ type: "tool.answer", ...answer }));
  }

  /** The next run begins with a new link: only then a runner is given what it lacks. */
  drop(why: string, redial = false): void {
    this.#link?.close(why);
    this.#link = null;
    if (redial) this.#redialSoon();
  }

  #acknowledge(frame: number): void {
    this.#link?.send({ type: "ack", frame });
  }

  /** Ends a run that the runner did not end. */
  #endFailed(run: Run, type: RunError["type"], message: string): void {
    const { transaction, log, queue } = this.#deps;
    transaction(() => failRun(this.#deps, run, { type, message }));
    log.announce();
    if (!queue.running()) this.kick();
  }
}

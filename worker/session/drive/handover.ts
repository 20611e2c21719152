import type { Frame, Report, RunStart } from "@gantry/protocol/link.ts";
import type { EngineStart } from "@gantry/protocol/link.ts";
import type { RunError } from "@gantry/protocol/run-end.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import type { RunnerLink } from "../link/runner-link.ts";
import { toAnsweredCall } from "../store/approvals.ts";
import type { Run } from "../store/run-queue.ts";
import { onFrame, onWelcome } from "./decide.ts";
import type { DriverDeps } from "./driver-deps.ts";
import { acceptFrame, storeEvents } from "./frames.ts";
import type { Gate } from "./gate.ts";
import { RUN_ERROR } from "./transitions.ts";

/** What the driver does when a message of the runner changes the run in progress. */
export interface HandoverEvents {
  /** Something has changed. */
  readonly kick: () => void;
  /** The run waits for an answer; `isThere`: its sandbox is still there and can be saved. */
  readonly park: (run: Run, isThere?: boolean) => void;
  readonly endFailed: (run: Run, type: RunError["type"], message: string) => void;
}

/**
 * What passes over the link: a run, its answers and its interrupt go to the runner; frames come back, are stored and only
 * then acknowledged.
 */
export class Handover {
  readonly #deps: DriverDeps;
  readonly #link: RunnerLink;
  readonly #gate: Gate;
  readonly #on: HandoverEvents;
  /** The engine to start before a prompt comes, as soon as the link is ready. */
  warming: RunOptions | null = null;
  /** How many links in a row the runner has closed over a message that it could not read. */
  unread = 0;

  constructor(deps: DriverDeps, link: RunnerLink, gate: Gate, on: HandoverEvents) {
    this.#deps = deps;
    this.#link = link;
    this.#gate = gate;
    this.#on = on;
  }

  /** A message of the runner. */
  receive(report: Report): void {
    switch (report.type) {
      case "welcome":
        return this.#welcome(report);
      case "frame":
        return this.#store(report);
      case "refused": {
        const { queue, approvals } = this.#deps;
        if (queue.running()?.id === report.runId) queue.sent(report.runId, null);
        approvals.sent(report.runId, null);
        return this.#link.drop("refused", true);
      }
      case "parked":
        // What the run asked may be in a frame that is missing.
        if ((report.frame ?? 0) > (this.#deps.lease.cursor()?.frame ?? 0)) return this.#link.drop("frame gap", true);
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

  /** Sends a run to the runner, if the link is ready; otherwise the welcome sends it. */
  send(run: Run): void {
    if (this.#gate.holds(run)) return;
    const { queue, lease, approvals, deadlineMs } = this.#deps;
    const runnerId = lease.cursor()?.runnerId;
    const start = this.#engineStart(run.options);
    if (!this.#link.isReady || runnerId === undefined || start === null) return;
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
    if (this.#link.isDoubted()) return this.#link.holdBack(run.id);
    this.#link.send(command);
    if (run.interruptRequested) this.#link.send({ type: "run.interrupt", runId: run.id });
  }

  /** Sends the run whose start was held back, if it is still in progress. */
  sendIfCurrent(runId: string): void {
    const run = this.#deps.queue.running();
    if (run?.id === runId) this.send(run);
  }

  /** The start of a run never left: it may be sent to the runner that answers now. */
  takeBack(runId: string): void {
    const { queue, approvals } = this.#deps;
    if (queue.running()?.id !== runId) return;
    queue.sent(runId, null);
    approvals.sent(runId, null);
  }

  /** Sends the answers of a run to the runner that has it. From then on the calls that were asked about may have begun. */
  sendAnswers(run: Run): void {
    const { lease, approvals } = this.#deps;
    const runnerId = lease.cursor()?.runnerId;
    // Otherwise the welcome sends them.
    if (!this.#link.isReady || run.sentTo === null || runnerId === undefined) return;
    const answered = [...approvals.answered(run.id), ...this.#deps.peers.answered(run.id)];
    approvals.sent(run.id, runnerId);
    this.#deps.files?.runStarted(run.id);
    for (const { toolUseId, answer } of answered)
      if (answer) this.#link.send({ type: "tool.answer", runId: run.id, toolUseId, answer });
  }

  /** Starts the engine that was wanted before a prompt, unless a run is in progress by now. */
  sendWarming(): void {
    const start = this.warming && this.#engineStart(this.warming);
    this.warming = null;
    if (start && !this.#deps.queue.running()) this.#link.send({ type: "engine.warm", ...start });
  }

  /** Carries out what the agent wants of other sessions. */
  carryOutPeerCalls(): void {
    this.#deps.peers.carryOut((answer) => this.#link.send({ type: "tool.answer", ...answer }));
  }

  /** What an engine of this session starts with. Null before a runner holds the session. */
  #engineStart(options: RunOptions): EngineStart | null {
    const { lease, engineSessionId, models, idleMs, mounts } = this.#deps;
    const token = lease.token();
    if (token === null) return null;
    return {
      options,
      engineSessionId: engineSessionId(),
      models: { token, ...models(options.model) },
      idleMs: idleMs(),
      mounts: mounts(),
    };
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
    // A run that was given up while its runner was out of reach must end before the runner takes another.
    if (welcome.activeRunId !== null && welcome.activeRunId !== run?.id)
      this.#link.send({ type: "run.interrupt", runId: welcome.activeRunId });
    switch (decision) {
      case "none":
        return this.#makeReady(welcome, null);
      case "attached":
        this.#link.markReady();
        if (run && run.sentTo !== welcome.runnerId) queue.sent(run.id, welcome.runnerId);
        if (run?.interruptRequested) this.#link.send({ type: "run.interrupt", runId: run.id });
        return run ? this.sendAnswers({ ...run, sentTo: welcome.runnerId }) : undefined;
      case "park":
        if (run) this.#on.park(run);
        return this.#makeReady(welcome, null);
      case "send":
        // A run sent to a runner that is ending could be taken for lost with it.
        return welcome.draining ? this.#link.drop("draining", true) : this.#makeReady(welcome, run);
      case "lost":
        if (run) this.#on.endFailed(run, "sandbox_lost", RUN_ERROR.lost);
        return this.#makeReady(welcome, null);
      default:
        decision satisfies never;
    }
  }

  /** Gives the runner the session's files if it lacks them, then the run: `again`, or one that was not sent yet. */
  #makeReady(welcome: Extract<Report, { type: "welcome" }>, again: Run | null): void {
    const { queue, files } = this.#deps;
    const link = this.#link.current;
    const begin = (): void => {
      this.#link.markReady();
      const run = queue.running();
      if (!run) this.sendWarming();
      else if (run.state !== "parked" && (run.sentTo === null || run.id === again?.id)) this.send(run);
    };
    const preparing = this.#link.isOpen && files?.prepare(welcome, queue.running()?.id ?? null);
    if (!preparing) return begin();
    const failed = (): void => {
      // The next run opens a new link, which tries again.
      this.#link.drop("not restored");
      const run = queue.running();
      if (run?.sentTo === null) this.#on.endFailed(run, "restore_failed", RUN_ERROR.withoutFiles);
    };
    const restored = (): void => {
      const run = queue.running();
      if (run && files?.lacksWorkOf(run.id)) this.#on.endFailed(run, "sandbox_lost", RUN_ERROR.withoutWork);
      begin();
    };
    const ifSame = (then: () => void) => (): void => void (this.#link.current === link && then());
    preparing.then(ifSame(restored), ifSame(failed));
  }

  /** The runner has let go of a run that waits, before any call that was answered had begun. */
  #letGo(runId: string): void {
    const { queue, approvals } = this.#deps;
    const run = queue.running();
    if (run?.id !== runId || run.sentTo === null) return;
    approvals.sent(runId, null);
    if (run.interruptRequested || approvals.waits(runId) === "no")
      return this.#on.endFailed(run, "sandbox_lost", RUN_ERROR.stopped);
    if (approvals.waits(runId) === "for_client") return this.#on.park(run, true);
    queue.sent(runId, null);
    this.#on.kick();
  }

  /** Commit, then announce, then acknowledge. */
  #store(frame: Frame): void {
    const { queue, lease, log, transaction, report } = this.#deps;
    const stored = lease.cursor()?.frame ?? 0;
    const decision = onFrame(stored, frame.frame);
    if (decision === "gap") {
      report({ event: "frame_gap", stored, got: frame.frame });
      return this.#link.drop("frame gap", true);
    }
    if (decision === "store") {
      this.unread = 0;
      const run = queue.running();
      const events = acceptFrame(frame, run, this.#deps);
      // A run has one end and reports it itself; any other event that claims to be one is left out.
      const ended = events.find((entry) => entry.event.type === "run.ended" && entry.runId !== null);
      transaction(() => {
        storeEvents(this.#deps, run, events, ended);
        lease.advance(frame.frame);
      });
      log.announce();
      this.carryOutPeerCalls();
      if (ended) {
        this.#acknowledge(frame.frame);
        return this.#on.kick();
      }
    }
    this.#acknowledge(Math.max(stored, frame.frame));
  }

  #acknowledge(frame: number): void {
    this.#link.send({ type: "ack", frame });
  }
}

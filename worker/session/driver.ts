import { PromptBlock } from "@gantry/protocol/event.ts";
import type { RunEnded, RunError, SessionEvent } from "@gantry/protocol/event.ts";
import { CLOSE } from "@gantry/protocol/link.ts";
import type { EngineStart, Frame, Report, RunOptions, RunStart, ToolAnswer } from "@gantry/protocol/link.ts";
import type { Approvals } from "./approvals.ts";
import { onFrame, onWatchdog, onWelcome, stopReasonOf } from "./decide.ts";
import { acceptFrame } from "./frames.ts";
import type { EventLog, NewEvent } from "./event-log.ts";
import type { Lease } from "./lease.ts";
import type { Link, LinkHandlers } from "./link.ts";
import type { Run, RunQueue } from "./run-queue.ts";
import type { Transaction } from "./sql.ts";
import type { Threads } from "./threads.ts";

/** While a run is active the watchdog looks this often. */
export const WATCHDOG_MS = 3_000;

/**
 * How long the link stays open after a run: dialling again costs milliseconds, which whoever answers at once would feel,
 * and an open link keeps the object in memory.
 */
export const LINGER_MS = 8_000;

/** First pause before dialling again; doubles up to the watchdog's period. */
const REDIAL_MS = 150;

/** So often is a run sent that the runner says it cannot read: the first time a link may have been spoilt. */
const MAX_UNREAD = 3;

export interface DriverDeps {
  readonly log: EventLog;
  readonly queue: RunQueue;
  readonly lease: Lease;
  readonly approvals: Approvals;
  readonly threads: Threads;
  readonly transaction: Transaction;
  readonly dial: (
    hello: { epoch: number; cursor: { runnerId: string; frame: number } | null },
    handlers: LinkHandlers,
  ) => Promise<Link>;
  /** Sets the one alarm, or takes it away. */
  readonly setAlarm: (at: number | null) => void;
  readonly now: () => number;
  readonly newEventId: () => string;
  /** @param offered what an engine that is there already shows; taken over when it is a token of this session. */
  readonly newToken: (offered: string | undefined) => string;
  readonly engineSessionId: () => string;
  /** `token` in place of the session's own, where the way to the models knows the session by itself. */
  readonly models: (model: string) => { baseUrl: string; token?: string; contextTokens?: number };
  /** When an engine without a prompt is ended; undefined: as the runner does. */
  readonly idleMs: () => number | undefined;
  readonly deadlineMs: number;
  readonly report: (entry: Record<string, unknown>) => void;
}

/**
 * Makes queued runs happen: starts the next one, keeps a link to the runner while one is active, stores what the
 * runner reports and only then acknowledges it. Everything it must not forget is in SQLite; what is in memory (the
 * link) can be lost at any moment, and the alarm brings the driver back.
 */
export class Driver {
  readonly #deps: DriverDeps;
  #link: Link | null = null;
  /** Whether the link's runner has said who it is: until then nobody knows to whom a run would be sent. */
  #welcomed = false;
  #dialling = false;
  #lastHeardAt = 0;
  #unreachableSince: number | null = null;
  #redialMs = REDIAL_MS;
  /** Closes the link when nothing runs for a while. */
  #lingering: ReturnType<typeof setTimeout> | null = null;
  /** The engine that is to start ahead of a prompt, as soon as there is a link. */
  #warming: Omit<EngineStart, "engineSessionId"> | null = null;
  /** Links that the runner closed in a row over what it could not read. */
  #unread = 0;

  constructor(deps: DriverDeps) {
    this.#deps = deps;
  }

  /** Call whenever something may have changed: a prompt was accepted, a run ended, the object woke up. */
  kick(): void {
    const { queue } = this.#deps;
    const run = queue.running() ?? this.#startNext();
    if (!run) {
      this.#linger();
      this.#deps.setAlarm(null);
      return;
    }
    this.#deps.setAlarm(this.#deps.now() + WATCHDOG_MS);
    if (!this.#link) void this.#connect();
    else if (run.sentTo === null) this.#send(run);
  }

  /** Somebody may be about to send a prompt: has the engine start now, if nothing is under way. */
  warm(options: RunOptions): void {
    const { queue, models } = this.#deps;
    if (queue.running() || queue.next()) return;
    this.#warming = { options, models: { token: "", ...models(options.model) } };
    if (!this.#link) void this.#connect();
    else if (this.#welcomed) this.#sendWarming();
  }

  #sendWarming(): void {
    const { queue, lease, engineSessionId } = this.#deps;
    const [warming, token] = [this.#warming, lease.token()];
    this.#warming = null;
    if (!warming || token === null || queue.running()) return;
    const models = { ...warming.models, token: warming.models.token || token };
    this.#link?.send({ type: "engine.warm", ...warming, models, engineSessionId: engineSessionId(), ...this.#idle() });
  }

  #idle(): { idleMs?: number } {
    const idleMs = this.#deps.idleMs();
    return idleMs === undefined ? {} : { idleMs };
  }

  /** An open link would keep the object in memory for ever. */
  #linger(): void {
    if (this.#lingering) clearTimeout(this.#lingering);
    this.#lingering = setTimeout(() => {
      this.#lingering = null;
      if (this.#deps.queue.running()) return;
      this.#link?.close("idle");
      this.#link = null;
    }, LINGER_MS);
  }

  /** The alarm. Arms the next one first: a fired alarm is gone, and what follows may fail. */
  watch(): void {
    const { queue, now, setAlarm } = this.#deps;
    const run = queue.running() ?? this.#startNext();
    if (!run) return setAlarm(null);
    setAlarm(now() + WATCHDOG_MS);
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
        this.#link?.close("silent");
        this.#link = null;
        return void this.#connect();
      case "dial":
        return void this.#connect();
      case "give_up":
        this.#unreachableSince = null;
        return this.#endFailed(
          run,
          "sandbox_lost",
          "The sandbox could not be reached for a minute; what it had done until then is in the log.",
        );
      default:
        decision satisfies never;
    }
  }

  /** Asks the run in progress to stop. False when there is none. */
  interrupt(): boolean {
    const { queue, now, transaction, log, newEventId } = this.#deps;
    const run = queue.running();
    if (!run) return false;
    transaction(() => {
      log.append([{ id: newEventId(), runId: run.id, at: now(), event: { type: "user.interrupt" } }]);
      queue.requestInterrupt(run.id, now());
      if (run.sentTo === null) this.#end(run, { outcome: "interrupted", error: null });
    });
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
    if (run.state === "running") return this.interrupt();
    transaction(() => this.#end(run, { outcome: "cancelled", error: null }));
    log.announce();
    return true;
  }

  /**
   * Takes an answer to a tool call that waits: stores it with its event, then sends it. False when no such call waits.
   * The answer may be told to the runner again; it takes each once.
   */
  answer(toolUseId: string, answer: ToolAnswer, event: SessionEvent): boolean {
    const { queue, approvals, transaction, log, now, newEventId } = this.#deps;
    const call = approvals.get(toolUseId);
    const run = queue.running();
    if (!call || call.answer || call.runId !== run?.id) return false;
    transaction(() => {
      approvals.answer(toolUseId, answer);
      const events: SessionEvent[] = [event];
      if (approvals.open().length === 0) {
        queue.setStatus("running");
        events.push({ type: "session.status_running" });
      }
      log.append(events.map((each) => ({ id: newEventId(), runId: run.id, at: now(), event: each })));
    });
    log.announce();
    this.#link?.send({ type: "tool.answer", runId: run.id, toolUseId, answer });
    return true;
  }

  #startNext(): Run | null {
    const { queue, log, now, transaction, newEventId, setAlarm } = this.#deps;
    const next = queue.next();
    if (!next) return null;
    // First: when it cannot be started now (a full disk), nobody else would come back to it.
    setAlarm(now() + WATCHDOG_MS);
    // Each run has its own minute: what could not be reached for one before says nothing about now.
    this.#unreachableSince = null;
    this.#unread = 0;
    const first = queue.status() === "idle";
    transaction(() => {
      queue.start(next.id, now());
      queue.setStatus("running");
      const events: SessionEvent[] = [
        ...(first ? [{ type: "session.status_running" as const }] : []),
        { type: "run.started", model: next.options.model, permission_mode: next.options.permissionMode },
      ];
      log.append(events.map((event) => ({ id: newEventId(), runId: next.id, at: now(), event })));
    });
    log.announce();
    return queue.running();
  }

  async #connect(): Promise<void> {
    if (this.#dialling) return;
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
      this.#welcomed = false;
      this.#lastHeardAt = now();
      this.#unreachableSince = null;
      this.#redialMs = REDIAL_MS;
      // The run may have been interrupted meanwhile, and nobody would close this link.
      if (!this.#deps.queue.running()) this.kick();
    } catch (error) {
      this.#unreachableSince ??= now();
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
    this.#endFailed(run, "engine_failed", "The runner could not read what it was sent for this run.");
    return true;
  }

  /** Tries again before the watchdog would. The alarm stays: a timer dies with the object. */
  #redialSoon(): void {
    if (!this.#deps.queue.running()) return;
    const pause = this.#redialMs;
    this.#redialMs = Math.min(this.#redialMs * 2, WATCHDOG_MS);
    setTimeout(() => {
      if (!this.#link && this.#deps.queue.running()) void this.#connect();
    }, pause);
  }

  #receive(report: Report): void {
    switch (report.type) {
      case "welcome":
        return this.#welcome(report);
      case "frame":
        return this.#store(report);
      case "refused": {
        const { queue } = this.#deps;
        if (queue.running()?.id === report.runId) queue.sent(report.runId, null);
        this.#link?.close("refused");
        this.#link = null;
        return this.#redialSoon();
      }
      case "pong":
        return;
      default:
        report satisfies never;
    }
  }

  #welcome(welcome: Extract<Report, { type: "welcome" }>): void {
    const { queue, lease, newToken } = this.#deps;
    const run = queue.running();
    this.#welcomed = true;
    const decision = onWelcome(run, welcome);
    if (lease.cursor()?.runnerId !== welcome.runnerId) {
      this.#deps.transaction(() => {
        lease.moveTo(welcome.runnerId, newToken(welcome.engineToken));
        this.#abandonThreads();
      });
      this.#deps.log.announce();
    }
    // A run that was given up while nobody could reach it: it must end before the runner takes another.
    if (welcome.activeRunId !== null && welcome.activeRunId !== run?.id)
      this.#link?.send({ type: "run.interrupt", runId: welcome.activeRunId });
    switch (decision) {
      case "none":
        return this.#sendWarming();
      case "attached":
        if (run?.interruptRequested) this.#link?.send({ type: "run.interrupt", runId: run.id });
        for (const { toolUseId, answer } of run ? this.#deps.approvals.answered(run.id) : []) {
          if (run && answer) this.#link?.send({ type: "tool.answer", runId: run.id, toolUseId, answer });
        }
        return;
      case "send":
        return run ? this.#send(run) : undefined;
      case "lost":
        return run
          ? this.#endFailed(
              run,
              "sandbox_lost",
              "The sandbox that ran this was lost; what it had done until then is in the log.",
            )
          : undefined;
      default:
        decision satisfies never;
    }
  }

  #send(run: Run): void {
    const { queue, lease, log, models, engineSessionId, deadlineMs } = this.#deps;
    const runnerId = lease.cursor()?.runnerId;
    const token = lease.token();
    if (!this.#link || !this.#welcomed || runnerId === undefined || token === null) return; // the welcome sends it
    const prompt = PromptBlock.array().parse((JSON.parse(log.payload(run.promptSeq)) as { content: unknown }).content);
    const command: RunStart = {
      type: "run.start",
      runId: run.id,
      prompt,
      options: run.options,
      engineSessionId: engineSessionId(),
      models: { token, ...models(run.options.model) },
      ...this.#idle(),
      deadlineMs,
    };
    queue.sent(run.id, runnerId);
    this.#link.send(command);
    if (run.interruptRequested) this.#link.send({ type: "run.interrupt", runId: run.id });
  }

  #store(frame: Frame): void {
    const { queue, lease, log, transaction, report } = this.#deps;
    const stored = lease.cursor()?.frame ?? 0;
    const decision = onFrame(stored, frame.frame);
    if (decision === "gap") {
      report({ event: "frame_gap", stored, got: frame.frame });
      this.#link?.close("frame gap");
      this.#link = null;
      return this.#redialSoon();
    }
    if (decision === "store") {
      this.#unread = 0;
      const run = queue.running();
      const events = acceptFrame(frame, run, this.#deps);
      // A run has one end and says it itself; whatever else claims to be one is left out.
      const ended = events.find((entry) => entry.event.type === "run.ended" && entry.runId !== null);
      transaction(() => {
        const before = events.filter((entry) => entry.event.type !== "run.ended");
        log.append(before);
        this.#deps.threads.note(before);
        if (run && this.#deps.approvals.noteQuestions(events) && !ended) this.#saysItWaits(run);
        if (run && ended) this.#end(run, ended.event as RunEnded, ended);
        lease.advance(frame.frame);
      });
      log.announce();
      if (ended) {
        this.#acknowledge(frame.frame);
        return this.kick();
      }
    }
    this.#acknowledge(Math.max(stored, frame.frame));
  }

  /** The run needs somebody: the session is idle until the calls named here are answered. Inside a transaction. */
  #saysItWaits(run: Run): void {
    const { queue, approvals, log, now, newEventId } = this.#deps;
    queue.setStatus("idle");
    const stop_reason = { type: "requires_action" as const, event_ids: approvals.open().map((call) => call.toolUseId) };
    const event = { type: "session.status_idle" as const, stop_reason, stop_details: null };
    log.append([{ id: newEventId(), runId: run.id, at: now(), event }]);
  }

  /** Sub-agents of a runner that is gone are gone with it. Inside a transaction. */
  #abandonThreads(): void {
    const { threads, log, now, newEventId } = this.#deps;
    const events = threads.abandoned().map((event) => ({ id: newEventId(), runId: null, at: now(), event }));
    log.append(events);
    threads.note(events);
  }

  #acknowledge(frame: number): void {
    this.#link?.send({ type: "ack", frame });
  }

  /** Ends a run that the runner did not end. */
  #endFailed(run: Run, type: RunError["type"], message: string): void {
    const { transaction, log, queue } = this.#deps;
    transaction(() =>
      this.#end(
        run,
        run.interruptRequested
          ? { outcome: "interrupted", error: null }
          : { outcome: "failed", error: { type, message } },
      ),
    );
    log.announce();
    if (!queue.running()) this.kick();
  }

  /** Ends a run: its one terminal event, and the session's status if nothing waits. Inside a transaction. */
  #end(run: Run, how: { outcome: RunEnded["outcome"]; error: RunError | null }, reported?: NewEvent): void {
    const { queue, log, now, newEventId } = this.#deps;
    if (how.error?.type === "sandbox_lost") this.#abandonThreads();
    queue.end(run.id, now());
    this.#deps.approvals.close(run.id);
    const event: RunEnded = { type: "run.ended", result: "", usage: null, num_turns: 0, duration_ms: 0, ...how };
    const events: NewEvent[] = [
      reported ? { ...reported, thread: undefined } : { id: newEventId(), runId: run.id, at: now(), event },
    ];
    const nothingWaits = !queue.running() && !queue.next();
    if (nothingWaits && (how.outcome !== "cancelled" || queue.status() === "running")) {
      queue.setStatus("idle");
      const stop_reason = { type: stopReasonOf(how) };
      events.push({
        id: newEventId(),
        runId: run.id,
        at: now(),
        event: { type: "session.status_idle", stop_reason, stop_details: null },
      });
    }
    log.append(events);
  }
}

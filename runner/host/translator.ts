import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { newId } from "@gantry/protocol/ids.ts";
import type { AnsweredCall } from "@gantry/protocol/link.ts";
import type { RunOptions } from "@gantry/protocol/run-options.ts";
import { translate } from "../engine/translate.ts";
import { toRawEvent } from "../engine/translate/raw.ts";
import { betweenRuns, initialState, nameToolCall, withCalls } from "../engine/translate/state.ts";
import type { TranslateState, TranslatedEvent } from "../engine/translate/state.ts";
import { closeThreads, noThreads } from "../engine/translate/threads.ts";

const newEventId = (): string => newId("event");

/** Translates the engine's messages of one session, and keeps the state that the pure translation needs. */
export class Translator {
  #state: TranslateState;

  /** @param primaryThread id of the session's primary thread. */
  constructor(primaryThread: string) {
    this.#state = { ...initialState, threads: noThreads(primaryThread) };
  }

  /** The events of a message, preceded by the message itself if the run asked for raw messages. */
  eventsOf(message: SDKMessage, options: Pick<RunOptions, "includeRaw"> | undefined): TranslatedEvent[] {
    const { state, events } = translate(this.#state, message, newEventId);
    this.#state = state;
    const raw = options?.includeRaw ? toRawEvent(message) : null;
    return raw ? [{ ...raw, id: newEventId() }, ...events] : [...events];
  }

  /** The event id of a tool call, by the model's id of it. */
  nameCall(toolUseId: string): string {
    const { state, id } = nameToolCall(this.#state, toolUseId, newEventId);
    this.#state = state;
    return id;
  }

  /** Adds calls that an earlier engine reported; a resumed one will mention them again. */
  addCalls(calls: readonly AnsweredCall[]): void {
    this.#state = withCalls(this.#state, calls);
  }

  /** Ends all sub-agents, because they end with their engine. Returns the events that say so. */
  closeThreads(): readonly TranslatedEvent[] {
    const { threads, events } = closeThreads(this.#state.threads, [], newEventId, "retries_exhausted");
    this.#state = { ...this.#state, threads };
    return events;
  }

  /** Call when a run has ended without a result from the engine. */
  endRun(): void {
    this.#state = betweenRuns(this.#state);
  }

  /** The thread of a sub-agent, by the engine's id of it; undefined for the main agent. */
  threadOf(agentId: string | undefined): string | undefined {
    return agentId === undefined ? undefined : this.#state.threads.byTask[agentId]?.id;
  }

  /** The agent's latest text in this run. */
  get lastText(): string {
    return this.#state.lastText;
  }

  /** Whether background tasks are still running in the engine. */
  get hasBackgroundTasks(): boolean {
    return this.#state.backgroundTasks.length > 0;
  }
}

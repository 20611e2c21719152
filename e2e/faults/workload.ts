import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import { Follower } from "./follower.ts";
import { script } from "../kit/gantry.ts";
import type { Gantry } from "../kit/gantry.ts";
import type { Points } from "./points.ts";
import type { Random } from "./random.ts";

/** What a client did and was told; the auditor compares it with what is stored. */
export interface Prompt {
  /** Stands in the prompt's text, and so in every conversation that remembers it. */
  readonly marker: string;
  /** Lines that its tool calls append to the file `effects`, one each. */
  readonly effects: readonly string[];
  /** Set when the product said that it took it. */
  runId: string | null;
  /** Set when the product said that it took it back. */
  cancelled?: boolean;
}

export interface Answer {
  readonly toolUseId: string;
  readonly allow: boolean;
}

/** One session with its own client, which lives through every fault of one seed or several. */
export class Client {
  readonly sessionId: string;
  /** Each tool call is asked for. */
  readonly asks: boolean;
  readonly prompts: Prompt[] = [];
  /** Answers that the product said it took. */
  readonly answers: Answer[] = [];
  readonly #gantry: Gantry;
  #random: Random;
  #points: Points;
  readonly #over = new AbortController();
  readonly #answered = new Set<string>();
  readonly #follower: Follower;
  readonly #answerer: Promise<void>;

  /** The session that it is a copy of. */
  readonly source: Client | null;

  constructor(
    gantry: Gantry,
    sessionId: string,
    asks: boolean,
    random: Random,
    points: Points,
    source: Client | null = null,
  ) {
    this.source = source;
    this.#gantry = gantry;
    this.sessionId = sessionId;
    this.asks = asks;
    this.#random = random;
    this.#points = points;
    this.#follower = new Follower(gantry, sessionId, (event) => {
      if (event.type === "run.ended") this.#points.reached("ended");
    });
    this.#answerer = this.#answer();
  }

  /** Continues with another seed. */
  goOn(random: Random, points: Points): void {
    this.#random = random;
    this.#points = points;
  }

  /** Sends prompts, some while others run, and stops one now and then. */
  async work(prompts: number): Promise<void> {
    const random = this.#random;
    await sleep(random.int(0, 400));
    for (let n = 0; n < prompts; n++) {
      const prompt = this.#plan();
      await this.send(prompt);
      if (prompt.runId && this.#open(this.#follower.log).size > 1 && random.chance(0.3)) {
        this.#points.reached("cancel");
        prompt.cancelled = (await this.#send(`runs/${prompt.runId}/cancel`, {})) !== null;
      } else if (random.chance(0.15)) {
        await sleep(random.int(0, 1_000));
        this.#points.reached("interrupt");
        await this.#post({ type: "user.interrupt" });
      }
      if (random.chance(0.5)) await sleep(random.int(0, 1_000));
    }
  }

  /** Sends one prompt. Whether it was taken is noted; a client that was cut off does not know. */
  async send(prompt: Prompt, text?: string): Promise<void> {
    this.prompts.push(prompt);
    this.#points.reached("submit");
    const body = { type: "user.message", content: [{ type: "text", text: text ?? this.#text(prompt) }] };
    const answer = (await this.#post(body)) as { data?: { run_id?: string }[] } | null;
    prompt.runId = answer?.data?.[0]?.run_id ?? null;
    if (prompt.runId && this.#open(this.#follower.log).size > 1) this.#points.reached("queued");
  }

  /** Resolves when everything has ended and nothing waits; rejects after a minute. */
  async untilAtRest(): Promise<void> {
    await this.#follower.until((log) => this.#isAtRest(log), `${this.sessionId} to come to rest`);
  }

  /** Waits until the log holds everything the client was told, every run has ended, and nothing is in progress. */
  #isAtRest(log: readonly StoredEvent[]): boolean {
    return this.#open(log).size === 0 && statusIn(log) !== "running";
  }

  /** Runs that were taken and have not ended. */
  #open(log: readonly StoredEvent[]): Set<string> {
    const open = new Set(this.prompts.flatMap(({ runId }) => runId ?? []));
    for (const event of log) if (event.type === "run.queued" && event.run_id) open.add(event.run_id);
    for (const event of log) if (event.type === "run.ended" && event.run_id) open.delete(event.run_id);
    return open;
  }

  /** One that goes on from here by itself, if that worked: what was said and done until now is its own, too. */
  async fork(): Promise<Client | null> {
    this.#points.reached("fork");
    const made = (await this.#send("fork", {})) as { id: string } | null;
    if (!made) return null;
    const copy = new Client(this.#gantry, made.id, this.asks, this.#random.fork(), this.#points, this);
    copy.prompts.push(...this.prompts.map((prompt) => ({ ...prompt })));
    return copy;
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await Promise.all([this.#follower.stop(), this.#answerer]);
  }

  #plan(): Prompt {
    const marker = `mark-${this.#name()}`;
    const effects = Array.from({ length: this.#random.int(0, 2) }, () => `effect-${this.#name()}`);
    return { marker, effects, runId: null };
  }

  #name(): string {
    return this.#random.int(0, 2 ** 40).toString(36);
  }

  #text({ marker, effects }: Prompt): string {
    const random = this.#random;
    const stream = { text: "word ".repeat(random.int(4, 30)), chunk: 5, chunkMs: random.int(0, 30) };
    const calls = effects.map((effect) => ({
      ...(random.chance(0.3) ? stream : {}),
      tool: "Bash",
      input: { command: `echo ${effect} >> effects && for i in $(seq ${random.int(1, 8)}); do sleep 0.1; done` },
    }));
    return `${marker} ${script(...calls, { ...stream, text: `${stream.text}end of ${marker}` })}`;
  }

  /** Looks every moment whether something waits, and answers it after a while. */
  async #answer(): Promise<void> {
    const dueAt = new Map<string, number>();
    let effects = "";
    for (; !this.#over.signal.aborted; await sleep(60)) {
      const now = this.effects();
      if (now !== effects) this.#points.reached("tool");
      effects = now;
      if (!this.asks) continue;
      for (const id of waitingIn(this.#follower.log)) {
        if (this.#answered.has(id)) continue;
        if (!dueAt.has(id)) this.#points.reached("approval");
        const due = dueAt.get(id) ?? Date.now() + this.#random.int(0, 1_500);
        dueAt.set(id, due);
        if (Date.now() < due) continue;
        const allow = this.#random.chance(0.8);
        const event = { type: "user.tool_confirmation", tool_use_id: id, result: allow ? "allow" : "deny" };
        this.#points.reached("answer");
        if (await this.#post(event)) {
          this.#answered.add(id);
          this.answers.push({ toolUseId: id, allow });
        }
      }
    }
  }

  /** The file that tool calls write to. */
  effects(): string {
    const file = join(this.#gantry.workspace(this.sessionId), "effects");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }

  #post(event: object): Promise<unknown> {
    return this.#send("events", { events: [event] });
  }

  /** The answer; null if the request was refused or its outcome is unknown. */
  async #send(what: string, body: object): Promise<unknown> {
    try {
      const response = await this.#gantry.fetch(`/v1/sessions/${this.sessionId}/${what}`, {
        method: "POST",
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(20_000),
      });
      const answer: unknown = await response.json();
      return response.ok ? answer : null;
    } catch {
      return null;
    }
  }
}

/** What the log last said of the session; null before the first run. */
export function statusIn(log: readonly StoredEvent[]): "idle" | "running" | null {
  const status = lastStatus(log);
  // A copy is cut behind the end of a run, and begins at rest.
  if (log.some((e) => e.type === "session.forked" && e.seq > (status?.seq ?? 0))) return "idle";
  return status && (status.type === "session.status_idle" ? "idle" : "running");
}

function lastStatus(
  log: readonly StoredEvent[],
): Extract<StoredEvent, { type: "session.status_idle" | "session.status_running" }> | null {
  const status = log.findLast((e) => e.type === "session.status_idle" || e.type === "session.status_running");
  return status?.type === "session.status_idle" || status?.type === "session.status_running" ? status : null;
}

/** Ids of calls that wait, as the log last said. */
export function waitingIn(log: readonly StoredEvent[]): readonly string[] {
  const status = lastStatus(log);
  if (status?.type !== "session.status_idle" || status.stop_reason.type !== "requires_action") return [];
  const answered = new Set(log.map((e) => (e.type === "user.tool_confirmation" ? e.tool_use_id : "")));
  return (status.stop_reason.event_ids ?? []).filter((id) => !answered.has(id));
}

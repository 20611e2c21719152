import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { engineSessionIdOf, engineToken, isId, newId } from "@gantry/protocol/ids.ts";
import type { EngineWish } from "@gantry/protocol/link.ts";
import { engineProfile } from "../engine/agent.ts";
import type { SessionHost } from "./session-host.ts";

/**
 * Engines that have started before anybody asked for them. A spare has everything of a session, id and folders first:
 * whoever makes a session takes a spare's id, and finds an engine there that is waiting for its first prompt.
 */

export interface PoolSettings {
  /** How many spares are kept; 0 for none. */
  readonly size: number;
  /** What the first spares are like, before anybody has asked for anything. */
  readonly first: EngineWish | null;
  /** Where the sessions' folders are. */
  readonly root: string;
  /** Makes the host of a session that does not exist yet. */
  readonly open: (sessionId: string, token: string) => SessionHost;
  /** Whether the machine has time for a start that nobody waits for. */
  readonly quiet: () => boolean;
  readonly log: (entry: Record<string, unknown>) => void;
}

interface Spare {
  readonly sessionId: string;
  readonly host: SessionHost;
  readonly profile: string;
  readonly bornAt: number;
  started: boolean;
}

/** How often it looks whether a spare is missing, dead or old. */
const LOOK_MS = 500;

/** A spare that nobody took is replaced: what an engine read at its start grows old. */
const MAX_AGE_MS = 30 * 60_000;

/** Each wish makes the ones before count less: the pool follows what is asked for now. */
const FADE = 0.8;

/** How much more a profile must be asked for before a spare of another one makes way. */
const LEAD = 1.5;

/** Profiles that are remembered. */
const MAX_WISHES = 20;

/** Folder in which a spare's folder is noted until somebody takes it: what a killed runner leaves is found by it. */
const NOTES = ".pool";

export class Pool {
  readonly #settings: PoolSettings;
  readonly #spares = new Map<string, Spare>();
  /** How often each profile was asked for, the latest counting most. */
  readonly #wishes = new Map<string, { wish: EngineWish; score: number }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
    if (settings.size === 0) return;
    if (settings.first) this.#wishes.set(profileOf(settings.first), { wish: settings.first, score: 1 });
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  get counts(): { size: number; ready: number; starting: number } {
    const ready = [...this.#spares.values()].filter((spare) => spare.started).length;
    return { size: this.#settings.size, ready, starting: this.#spares.size - ready };
  }

  /** Gives a spare of this kind away, or null. Either way the pool learns what is wanted. */
  claim(wish: EngineWish): { sessionId: string; host: SessionHost } | null {
    if (!this.#timer) return null;
    const profile = profileOf(wish);
    this.#learn(profile, wish);
    const fitting = [...this.#spares.values()].filter((spare) => spare.profile === profile && spare.host.engineAlive);
    const spare = fitting.find(({ started }) => started) ?? fitting[0];
    if (!spare) return null;
    this.#spares.delete(spare.sessionId);
    rmSync(this.#note(spare.sessionId), { force: true });
    this.#settings.log({ event: "spare_taken", sessionId: spare.sessionId });
    return spare;
  }

  /** Ends one spare, because its place is needed. False when there is none. */
  drop(): boolean {
    const [spare] = this.#spares.values();
    if (spare) void this.#end(spare);
    return spare !== undefined;
  }

  /** Ends all spares and makes no more. */
  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    await Promise.all([...this.#spares.values()].map((spare) => this.#end(spare)));
  }

  #learn(profile: string, wish: EngineWish): void {
    for (const known of this.#wishes.values()) known.score *= FADE;
    this.#wishes.set(profile, { wish, score: (this.#wishes.get(profile)?.score ?? 0) + 1 });
    if (this.#wishes.size > MAX_WISHES) {
      const [least] = [...this.#wishes].toSorted(([, a], [, b]) => a.score - b.score);
      if (least) this.#wishes.delete(least[0]);
    }
  }

  #look(): void {
    for (const spare of this.#spares.values()) {
      const old = Date.now() - spare.bornAt > MAX_AGE_MS;
      if (old || (spare.started && !spare.host.engineAlive)) void this.#end(spare);
    }
    if (!this.#settings.quiet()) return;
    const scores = new Map([...this.#wishes].map(([profile, { score }]) => [profile, score]));
    const have = [...this.#spares.values()].map((spare) => spare.profile);
    const { start, end } = nextChange(scores, have, this.#settings.size);
    const surplus = end === null ? undefined : [...this.#spares.values()].find(({ profile }) => profile === end);
    if (surplus) void this.#end(surplus);
    const wish = start === null ? undefined : this.#wishes.get(start)?.wish;
    if (start !== null && wish) void this.#start(start, wish);
  }

  async #start(profile: string, wish: EngineWish): Promise<void> {
    const sessionId = newId("session");
    const token = engineToken(sessionId);
    mkdirSync(join(this.#settings.root, NOTES), { recursive: true, mode: 0o700 });
    writeFileSync(this.#note(sessionId), "");
    const host = this.#settings.open(sessionId, token);
    const spare: Spare = { sessionId, host, profile, bornAt: Date.now(), started: false };
    this.#spares.set(sessionId, spare);
    const start = { ...wish, models: { ...wish.models, token }, engineSessionId: engineSessionIdOf(sessionId) };
    await host.warm(start, "pool");
    spare.started = true;
  }

  async #end(spare: Spare): Promise<void> {
    const { sessionId, host } = spare;
    this.#spares.delete(sessionId);
    await host.close();
    await rm(join(this.#settings.root, sessionId), { recursive: true, force: true, maxRetries: 3 });
    rmSync(this.#note(sessionId), { force: true });
  }

  #note(sessionId: string): string {
    return join(this.#settings.root, NOTES, sessionId);
  }
}

/** Removes the folders of spares that an earlier runner was killed with. */
export function sweepSpares(root: string): void {
  const notes = join(root, NOTES);
  for (const name of readdirSync(root).includes(NOTES) ? readdirSync(notes) : []) {
    if (isId("session", name)) rmSync(join(root, name), { recursive: true, force: true, maxRetries: 3 });
    rmSync(join(notes, name), { recursive: true, force: true });
  }
}

/**
 * What to do next so that the spares are of the profiles that are asked for most: which profile to start one of, and
 * which to end one of when there is no room.
 */
export function nextChange(
  scores: ReadonlyMap<string, number>,
  have: readonly string[],
  size: number,
): { start: string | null; end: string | null } {
  const nothing = { start: null, end: null };
  // Each place goes to the profile with the most wishes for each spare it would have.
  const wanted: string[] = [];
  const shareOf = (profile: string, among: readonly string[]): number =>
    (scores.get(profile) ?? 0) / (1 + among.filter((other) => other === profile).length);
  for (let place = 0; place < size && scores.size > 0; place++) {
    const best = [...scores.keys()].reduce((a, b) => (shareOf(b, wanted) > shareOf(a, wanted) ? b : a));
    wanted.push(best);
  }
  const rest = [...have];
  const missing = wanted.filter((profile) => {
    const at = rest.indexOf(profile);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  const [start] = missing;
  if (start === undefined) return nothing;
  if (have.length < size) return { start, end: null };
  const end = rest.toSorted((a, b) => (scores.get(a) ?? 0) - (scores.get(b) ?? 0))[0];
  if (end === undefined || (scores.get(start) ?? 0) < LEAD * (scores.get(end) ?? 0)) return nothing;
  return { start, end };
}

function profileOf(wish: EngineWish): string {
  return engineProfile({ ...wish, engineSessionId: "", models: { ...wish.models, token: "" } });
}

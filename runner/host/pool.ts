import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { engineSessionIdOf, engineToken, isId, newId } from "@gantry/protocol/ids.ts";
import type { EngineWish } from "@gantry/protocol/link.ts";
import { every, guard } from "../base/guarded.ts";
import { engineProfile } from "../engine/profile.ts";
import type { SessionHost } from "./session-host.ts";

/**
 * Engines that are started before a session needs them. A spare is a complete session without a prompt: it has an id, folders
 * and an engine. A new session takes over a spare's id, and finds an engine that is waiting for its first prompt.
 */

export interface PoolSettings {
  /** How many spares are kept; 0 turns the pool off. */
  readonly size: number;
  /** Settings of the first spares, before any session has asked for an engine. */
  readonly first: EngineWish | null;
  /** Folder of all sessions' folders. */
  readonly root: string;
  /** Creates the host of a session that does not exist yet. */
  readonly open: (sessionId: string, token: string) => SessionHost;
  /** Whether the machine has time for a start that no one waits for. */
  readonly quiet: () => boolean;
  readonly log: (entry: Record<string, unknown>) => void;
}

/** An engine without a session. `bornAt` is in milliseconds since the epoch. */
interface Spare {
  readonly sessionId: string;
  readonly host: SessionHost;
  readonly profile: string;
  readonly bornAt: number;
  started: boolean;
}

/** How often the pool checks for missing, dead and old spares. */
const CHECK_MS = 500;

/** An unused spare is replaced after this time, because what its engine read at the start becomes outdated. */
const MAX_AGE_MS = 30 * 60_000;

/** Each request reduces the weight of all earlier ones by this factor, so that the pool follows current demand. */
const FADE = 0.8;

/** How many times the demand for one profile must exceed another's before it replaces a spare of that one. */
const LEAD = 1.5;

/** How many profiles are remembered. */
const MAX_WISHES = 20;

/** Folder with one empty file per unused spare, by which the next runner finds the spares of a killed one. */
const NOTES = ".pool";

/** Keeps spares of the profiles that are in demand. */
export class Pool {
  readonly #settings: PoolSettings;
  readonly #spares = new Map<string, Spare>();
  /** Demand for each profile; recent requests count most. */
  readonly #wishes = new Map<string, { wish: EngineWish; score: number }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
    if (settings.size === 0) return;
    if (settings.first) this.#wishes.set(profileOf(settings.first), { wish: settings.first, score: 1 });
    this.#timer = every("pool", CHECK_MS, () => this.#check());
    this.#timer.unref();
  }

  /** For `GET /health`. */
  get counts(): { size: number; ready: number; starting: number } {
    const ready = [...this.#spares.values()].filter((spare) => spare.started).length;
    return { size: this.#settings.size, ready, starting: this.#spares.size - ready };
  }

  /** Hands over a spare with this profile, or returns null. Either way the request counts as demand. */
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

  /** Ends one spare to make room for another engine. Returns false when there is none. */
  drop(): boolean {
    const [spare] = this.#spares.values();
    if (spare) this.#letGo(spare);
    return spare !== undefined;
  }

  /** Ends all spares and starts no more. */
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

  #check(): void {
    for (const spare of this.#spares.values()) {
      const old = Date.now() - spare.bornAt > MAX_AGE_MS;
      if (old || (spare.started && !spare.host.engineAlive)) this.#letGo(spare);
    }
    if (!this.#settings.quiet()) return;
    const scores = new Map([...this.#wishes].map(([profile, { score }]) => [profile, score]));
    const have = [...this.#spares.values()].map((spare) => spare.profile);
    const { start, end } = nextChange(scores, have, this.#settings.size);
    const surplus = end === null ? undefined : [...this.#spares.values()].find(({ profile }) => profile === end);
    if (surplus) this.#letGo(surplus);
    const wish = start === null ? undefined : this.#wishes.get(start)?.wish;
    if (start !== null && wish) guard("spare_start", () => this.#start(start, wish));
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

  #letGo(spare: Spare): void {
    guard("spare_end", () => this.#end(spare));
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

/** Removes the folders of spares that a killed runner left behind. */
export function sweepSpares(root: string): void {
  const notes = join(root, NOTES);
  for (const name of readdirSync(root).includes(NOTES) ? readdirSync(notes) : []) {
    if (isId("session", name)) rmSync(join(root, name), { recursive: true, force: true, maxRetries: 3 });
    rmSync(join(notes, name), { recursive: true, force: true });
  }
}

/**
 * The next step towards spares of the profiles in highest demand: the profile to start a spare of, and the one to end a spare
 * of when there is no room.
 *
 * @param scores demand by profile.
 * @param have the profile of each spare.
 */
export function nextChange(
  scores: ReadonlyMap<string, number>,
  have: readonly string[],
  size: number,
): { start: string | null; end: string | null } {
  const nothing = { start: null, end: null };
  // Each spare in turn goes to the profile with the highest demand per spare.
  const wanted: string[] = [];
  const shareOf = (profile: string, among: readonly string[]): number =>
    (scores.get(profile) ?? 0) / (1 + among.filter((other) => other === profile).length);
  for (let count = 0; count < size && scores.size > 0; count++) {
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

/** The engine's profile without what differs for each session. */
function profileOf(wish: EngineWish): string {
  return engineProfile({ ...wish, engineSessionId: "", models: { ...wish.models, token: "" } });
}

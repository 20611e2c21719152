import fc from "fast-check";
import type { StoredEvent } from "@gantry/protocol/event.ts";
import type { FramedEvent } from "@gantry/protocol/link.ts";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TriageStep } from "../../triage/triage.ts";
import { SILENCE_LIMIT_MS, UNREACHABLE_LIMIT_MS } from "./decide.ts";
import { World } from "../testing/world.ts";

beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 10, 21) }));
afterEach(() => void vi.useRealTimers());

/** One thing that happens to a session. */
const STEPS = {
  submit: (world: World) => world.submit(),
  interrupt: (world: World) => world.interrupt(),
  cancel: (world: World) => world.cancel(),
  read: (world: World) => world.kick(),
  dialled: (world: World) => world.answerDial(),
  up: (world: World) => world.deliver("up", 1),
  down: (world: World) => world.deliver("down", 1),
  all: async (world: World) => {
    await world.answerDial();
    await world.deliver("down", 50);
    await world.deliver("up", 50);
    await world.deliver("down", 50);
  },
  message: (world: World) => world.runner.work("message"),
  delta: (world: World) => world.runner.work("delta"),
  end: (world: World) => world.runner.work("end"),
  ask: (world: World) => world.runner.work("ask"),
  allow: (world: World) => world.answer("oldest", "allow"),
  "allow the newest": (world: World) => world.answer("newest", "allow"),
  deny: (world: World) => world.answer("oldest", "deny"),
  "engine killed": (world: World) => world.runner.killEngine(),
  "engine let go": (world: World) => world.runner.park(),
  moment: (world: World) => world.wait(20),
  second: (world: World) => world.wait(1_000),
  "some seconds": (world: World) => world.wait(7_000),
  "link cut": (world: World) => world.cut({ session: true, runner: true }),
  "link cut, session not told": (world: World) => world.cut({ session: false, runner: true }),
  "link cut, runner not told": (world: World) => world.cut({ session: true, runner: false }),
  "link cut, nobody told": (world: World) => world.cut({ session: false, runner: false }),
  "runner replaced": (world: World) => world.replaceRunner(),
  "runner replaced, session not told": (world: World) => world.replaceRunner(false),
  "runner told to end": (world: World) => world.drainRunner(),
  "runner out of reach": (world: World) => {
    world.reachable = false;
    world.cut({ session: true, runner: true });
  },
  "runner in reach": (world: World) => void (world.reachable = true),
  "runner out of reach for long": async (world: World) => {
    world.reachable = false;
    world.cut({ session: true, runner: true });
    for (let seconds = 0; seconds < 75; seconds++) {
      await world.deliver("up", 50);
      await world.answerDial();
      await world.wait(1_000);
    }
    world.reachable = true;
  },
  evicted: (world: World) => world.evict(),
  "link out of order": (world: World) => world.spoil("swap"),
  "link says it twice": (world: World) => world.spoil("repeat"),
  "disk full in the next transaction": (world: World) => void (world.diskFullAfter = 0),
  "disk full in the one after it": (world: World) => void (world.diskFullAfter = 1),
  "next turn dies before it is kept": (world: World) => void (world.nextTurn = "before"),
  "next turn dies after it is kept": (world: World) => void (world.nextTurn = "after"),
} satisfies Record<string, (world: World) => unknown>;
type Step = keyof typeof STEPS;

const history: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom<Step[]>("submit", "message", "delta", "end") },
    { weight: 4, arbitrary: fc.constantFrom<Step[]>("ask", "allow", "allow the newest", "deny") },
    { weight: 6, arbitrary: fc.constantFrom<Step[]>("all", "up", "down", "dialled") },
    {
      weight: 2,
      arbitrary: fc.constantFrom<Step[]>("moment", "second", "some seconds", "read", "interrupt", "cancel"),
    },
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        ...(Object.keys(STEPS) as Step[]).filter((step) => /link|runner|engine|evicted|turn|disk/.test(step)),
      ),
    },
  ),
  { maxLength: 80, size: "max" },
);

/** Triage that takes up to five seconds and decides by the last letter of the run's id. */
const TRIAGE: TriageStep = {
  name: "by letter",
  decide: async ({ text }) => {
    const letter = text.charCodeAt(text.length - 1);
    if (letter % 3 > 0) await new Promise((resolve) => setTimeout(resolve, (letter % 3) * 2_500));
    if (letter % 5 === 0) return { decision: { decision: "answer", text: "an answer" } };
    if (letter % 5 === 1) return { decision: { decision: "refuse", message: "no" } };
    if (letter % 5 === 2) return { decision: { decision: "context", text: "more" } };
    if (letter % 5 === 3) throw new Error("cannot say");
    return { decision: { decision: "pass" } };
  },
};

async function play(steps: readonly Step[], triage: readonly TriageStep[] = []): Promise<World> {
  const world = new World();
  world.triage = triage;
  for (const step of steps) await STEPS[step](world);
  expect(await world.settle(), "a run that is to stop was not told").toBe(true);
  return world;
}

const waits = (event: StoredEvent | undefined): boolean =>
  event?.type === "session.status_idle" && event.stop_reason.type === "requires_action";

type Of<T extends StoredEvent["type"]> = Extract<StoredEvent, { type: T }>;
const only = <T extends StoredEvent["type"]>(events: readonly StoredEvent[], type: T): Of<T>[] =>
  events.filter((event): event is Of<T> => event.type === type);

/** Ids of events in order. Pieces of text are joined, because the way joins them too. */
function essence(events: readonly (StoredEvent | FramedEvent)[]): { ids: string[]; text: string } {
  return {
    ids: events.filter((event) => event.type !== "event_delta").map((event) => event.id),
    text: events.map((event) => (event.type === "event_delta" ? event.delta.content.text : "")).join(""),
  };
}

/** Reads the disk and the runners' histories, and reports what must never be. */
function audit(world: World): void {
  const events = world.events();
  const runs = world.runs();
  const ids = runs.map((run) => run.id);

  expect(events.map((event) => event.seq)).toEqual(events.map((_, at) => at + 1));
  expect(new Set(events.map((event) => event.id)).size).toBe(events.length);
  expect(ids).toEqual(expect.arrayContaining(world.accepted));
  expect(runs.map((run) => run.state)).toEqual(runs.map(() => "ended"));
  const ends = only(events, "run.ended");
  expect(ends.map((event) => event.run_id ?? "").toSorted()).toEqual(ids.toSorted());
  const cancelled = ends.filter((event) => event.outcome === "cancelled").map((event) => event.run_id);
  const begun = ids.filter((id) => !cancelled.includes(id));
  expect(only(events, "run.started").map((event) => event.run_id)).toEqual(begun);

  // A run begins when the one before it has ended; the status says running from the first to the last.
  const life = events.filter((event) => begun.includes(event.run_id ?? "") && /^run.(started|ended)$/.test(event.type));
  expect(life.map((event) => [event.type, event.run_id])).toEqual(
    begun.flatMap((id) => [
      ["run.started", id],
      ["run.ended", id],
    ]),
  );
  const status = events
    .filter((event) => event.type === "session.status_running" || event.type === "session.status_idle")
    // Asked again while it waits, or stopped while it waits: it is idle for another reason.
    .filter((event, at, all) => !(waits(event) && all[at + 1]?.type === "session.status_idle"));
  expect(status.map((event) => event.type)).toEqual(
    status.map((_, at) => (at % 2 === 0 ? "session.status_running" : "session.status_idle")),
  );
  expect(status.length % 2).toBe(0);
  expect(waits(status.at(-1)), "something still waits").toBe(false);

  // Allowed calls ran once, others never. A run that was lost or stopped may have missed one.
  const effects = world.runners.flatMap((runner) => runner.effects);
  expect(new Set(effects).size, "an allowed call ran twice").toBe(effects.length);
  const confirmed = only(events, "user.tool_confirmation");
  expect(new Set(confirmed.map((event) => event.tool_use_id)).size, "answered twice").toBe(confirmed.length);
  expect(confirmed.map((event) => event.tool_use_id)).toEqual(
    expect.arrayContaining(world.answered.map((each) => each.id)),
  );
  const allowed = confirmed.filter((event) => event.result === "allow");
  expect(
    allowed.map((event) => event.tool_use_id),
    "a call ran that nobody allowed",
  ).toEqual(expect.arrayContaining(effects));
  const succeeded = ends.filter((event) => event.outcome === "succeeded").map((event) => event.run_id);
  for (const event of allowed.filter((each) => succeeded.includes(each.run_id)))
    expect(effects, `${event.tool_use_id} was allowed and did not run`).toContain(event.tool_use_id);

  const applied = world.runners.flatMap((runner) =>
    runner.worked.filter((work) => !work.resumed).map((work) => work.runId),
  );
  expect(new Set(applied).size, "a prompt was applied twice").toBe(applied.length);
  expect(
    ids.filter((id) => applied.includes(id)),
    "prompts were applied out of order",
  ).toEqual(applied);

  for (const runner of world.runners) {
    for (const work of runner.worked) {
      const emitted = essence(work.events);
      const own = new Set(work.events.map((event) => event.id));
      const stored = essence(events.filter((event) => own.has(event.id)));
      expect(emitted.ids.slice(0, stored.ids.length)).toEqual(stored.ids);
      expect(emitted.text.startsWith(stored.text)).toBe(true);
      // A run whose end was reported is complete; what the runner did not live to report is lost.
      const end = events.find((event) => event.type === "run.ended" && event.run_id === work.runId);
      if (end && own.has(end.id)) expect(stored).toEqual(emitted);
    }
    const errands = runner.errands.map((event) => event.id);
    const told = events.filter((event) => errands.includes(event.id)).map((event) => event.id);
    expect(told).toEqual(errands.filter((id) => told.includes(id)));
  }

  const [firstFailure = 0] = world.failedDials;
  const gaveUp = (world.failedDials.at(-1) ?? 0) - firstFailure >= UNREACHABLE_LIMIT_MS - 5_000;
  for (const end of ends) {
    expect(end.error !== null).toBe(end.outcome === "failed");
    if (end.error?.type === "sandbox_lost") {
      const started = Date.parse(only(events, "run.started").find((s) => s.run_id === end.run_id)?.processed_at ?? "");
      const died = world.deaths.some((at) => at >= started - SILENCE_LIMIT_MS);
      expect(died || gaveUp, `${end.run_id} was given up although its runner lives`).toBe(true);
    } else if (end.outcome === "failed") {
      const refused = world.triage.length > 0 ? ["refused"] : [];
      expect(["server_stopped", "engine_failed", ...refused]).toContain(end.error?.type);
    } else if (end.outcome === "interrupted") {
      expect(only(events, "user.interrupt").some((event) => event.run_id === end.run_id)).toBe(true);
    }
  }
  expect(world.atRest, "a link, a dial or an alarm is left").toBe(true);
}

describe("any history", () => {
  it("ends every accepted run once, in order, with nothing applied twice, lost or left", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => audit(await play(steps))),
      {
        numRuns: Number(process.env["HISTORIES"] ?? 800),
        interruptAfterTimeLimit: 30_000,
        markInterruptAsFailure: false,
      },
    );
  }, 60_000);

  it.each<[string, Step[]]>([
    [
      "a run whose start had failed is cancelled",
      ["submit", "disk full in the one after it", "dialled", "submit", "interrupt", "cancel"],
    ],
    [
      "a run is reported as waiting before the question arrives",
      ["submit", "all", "ask", "engine killed", "link out of order"],
    ],
  ])("was once found to go wrong: %s", async (_name, steps) => audit(await play(steps)));

  it("does so while triage looks at each prompt first", async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const world = await play(steps, [TRIAGE]);
        audit(world);
        const events = world.events();
        const looked = only(events, "triage.decided");
        expect(new Set(looked.map((event) => event.run_id)).size).toBe(looked.length);
        const answered = looked.filter(({ decision }) => decision === "answer" || decision === "refuse");
        const applied = world.runners.flatMap((runner) => runner.worked.map((work) => work.runId));
        expect(applied.filter((id) => !looked.some((event) => event.run_id === id))).toEqual([]);
        expect(answered.filter((event) => applied.includes(event.run_id ?? ""))).toEqual([]);
      }),
      {
        numRuns: Math.ceil((Number(process.env["HISTORIES"] ?? 800) * 3) / 8),
        interruptAfterTimeLimit: 30_000,
        markInterruptAsFailure: false,
      },
    );
  }, 60_000);
});

/** A world in which one run is at work. */
async function atWork(): Promise<World> {
  const world = new World();
  world.submit();
  await STEPS.all(world);
  expect(world.runner.busy).not.toBeNull();
  return world;
}

const endings = (world: World): string[] =>
  only(world.events(), "run.ended").map((event) => event.error?.type ?? event.outcome);

/** A world in which one run is at work and waits for an answer. */
async function waiting(): Promise<World> {
  const world = await atWork();
  world.runner.work("ask");
  await STEPS.all(world);
  expect(waits(world.events().at(-1))).toBe(true);
  return world;
}

/** Delivers everything for a minute and a half. */
async function someTime(world: World): Promise<void> {
  for (let round = 0; round < 20; round++) {
    await STEPS.all(world);
    await world.wait(5_000);
  }
}

describe("a run that waits for an answer", () => {
  it.each<[string, (world: World) => unknown]>([
    ["the runner is told to end", STEPS["runner told to end"]],
    ["the runner is replaced", STEPS["runner replaced"]],
    ["the runner is replaced and the session is not told", STEPS["runner replaced, session not told"]],
    ["the engine is killed", STEPS["engine killed"]],
    ["the runner lets go of the engine", STEPS["engine let go"]],
    ["the runner is unreachable for long", STEPS["runner out of reach for long"]],
    ["the object is evicted and the runner replaced", (world) => (world.evict(), world.replaceRunner())],
  ])("is not lost when %s: it holds nothing for hours, and goes on once it is answered", async (_name, happens) => {
    const world = await waiting();
    await happens(world);
    await someTime(world);
    expect(world.atRest, "a link, a dial or an alarm is left").toBe(true);
    const before = world.events().length;
    await world.wait(5 * 3_600_000);
    expect(world.events().length).toBe(before);
    expect(world.answer("oldest", "allow")).toBe(true);
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["succeeded"]);
    expect(world.runners.flatMap((runner) => runner.effects)).toHaveLength(1);
  });

  it("is parked until everything it asked is answered", async () => {
    const world = await waiting();
    world.runner.work("ask");
    await STEPS.all(world);
    world.replaceRunner();
    await someTime(world);
    world.answer("newest", "allow");
    await world.wait(60_000);
    expect(world.atRest).toBe(true);
    expect(world.runner.effects).toEqual([]);
    world.answer("oldest", "deny");
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["succeeded"]);
    expect(world.runner.effects).toHaveLength(1);
  });

  it("is lost when its answer was sent and the runner is gone: the call may have run", async () => {
    const world = await waiting();
    world.answer("oldest", "allow");
    await world.deliver("down", 50);
    world.replaceRunner();
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["sandbox_lost"]);
    expect(world.runners.flatMap((runner) => runner.effects)).toHaveLength(1);
  });

  it("ends at once when it is stopped while it is parked", async () => {
    const world = await waiting();
    world.replaceRunner();
    await someTime(world);
    expect(world.interrupt()).toBe(true);
    expect(endings(world)).toEqual(["interrupted"]);
    await world.settle();
    audit(world);
  });
});

describe("histories with a name", () => {
  it("a prompt: its events, in order", async () => {
    const world = await atWork();
    const [runId] = world.runs().map((run) => run.id);
    world.runner.work("message");
    await world.settle();
    audit(world);
    expect(world.events().map((event) => [event.type, event.run_id === runId])).toEqual([
      ["run.queued", true],
      ["user.message", true],
      ["session.status_running", true],
      ["run.started", true],
      ["agent.message", true],
      ["run.ended", true],
      ["session.status_idle", true],
    ]);
  });

  it.each<[string, (world: World) => unknown, string[]]>([
    ["the link is cut and comes back", STEPS["link cut"], ["succeeded"]],
    ["the link falls silent", STEPS["link cut, nobody told"], ["succeeded"]],
    ["the object is evicted", STEPS["evicted"], ["succeeded"]],
    ["the runner is replaced", STEPS["runner replaced"], ["sandbox_lost"]],
    [
      "the runner is replaced and the session is not told",
      STEPS["runner replaced, session not told"],
      ["sandbox_lost"],
    ],
    ["the runner is told to end", STEPS["runner told to end"], ["server_stopped"]],
    ["the runner is unreachable beyond the limit", STEPS["runner out of reach for long"], ["sandbox_lost"]],
    ["a client interrupts", STEPS["interrupt"], ["interrupted"]],
    [
      "a client interrupts while there is no link",
      (world) => {
        world.cut({ session: true, runner: true });
        world.interrupt();
      },
      ["interrupted"],
    ],
    [
      "a client interrupts, and then the runner is replaced",
      (world) => {
        world.interrupt();
        world.replaceRunner();
      },
      ["interrupted"],
    ],
    [
      "a second prompt waits, and the runner is replaced",
      (world) => {
        world.submit();
        world.replaceRunner();
      },
      ["sandbox_lost", "succeeded"],
    ],
  ])("in the middle of a run %s", async (_name, happens, wanted) => {
    const world = await atWork();
    world.runner.work("message");
    await happens(world);
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(wanted);
  });

  it("a run that an ending runner refused goes to the next runner", async () => {
    const world = new World();
    world.drainRunner();
    world.submit();
    await STEPS.all(world);
    await STEPS.all(world);
    expect(world.runner.worked).toEqual([]);
    await world.wait(10_000);
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["succeeded"]);
  });

  it("a run whose start is unreadable ends instead of being resent for ever; the next one runs", async () => {
    const world = new World();
    world.submit();
    world.runner.cannotRead = true;
    for (let round = 0; round < 10 && endings(world).length === 0; round++) {
      await STEPS.all(world);
      await world.wait(5_000);
    }
    expect(endings(world)).toEqual(["engine_failed"]);
    world.runner.cannotRead = false;
    world.submit();
    await STEPS.all(world);
    await world.settle();
    expect(endings(world)).toEqual(["engine_failed", "succeeded"]);
  });

  it("a start that was unreadable once is sent again", async () => {
    const world = new World();
    world.submit();
    world.runner.cannotRead = true;
    await STEPS.all(world);
    world.runner.cannotRead = false;
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["succeeded"]);
  });

  it("a run that was given up but continues is stopped before the next one begins", async () => {
    const world = await atWork();
    await STEPS["runner out of reach for long"](world);
    expect(endings(world)).toEqual(["sandbox_lost"]);
    world.submit();
    await STEPS.all(world);
    expect(world.runner.stopping).toBe(true);
    world.runner.work("message");
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["sandbox_lost", "succeeded"]);
  });

  it("a prompt to a session whose runner was replaced while it was idle is not lost, with and without readers", async () => {
    const world = await atWork();
    await world.settle();
    world.replaceRunner();
    world.submit();
    await world.answerDial();
    world.kick(); // between the link and its welcome
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["succeeded", "succeeded"]);
  });

  it("after a cut it redials at once, then with growing pauses of at most the watchdog's period", async () => {
    const world = await atWork();
    world.cut({ session: true, runner: true });
    world.reachable = false;
    await world.deliver("up", 50);
    const cutAt = Date.now();
    for (let seconds = 0; seconds < 20; seconds += 0.05) {
      await world.answerDial();
      await world.wait(50);
    }
    const pauses = world.failedDials.map((at, index) => at - (world.failedDials[index - 1] ?? cutAt));
    expect(pauses[0]).toBeLessThanOrEqual(200);
    expect(pauses[1]).toBeLessThanOrEqual(400);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(3_100);
    expect(pauses.length).toBeLessThanOrEqual(16);
  });

  it("a run has a minute of its own to reach the runner", async () => {
    const world = new World();
    world.reachable = false;
    world.submit();
    world.interrupt();
    await world.answerDial();
    expect(world.failedDials).toHaveLength(1);
    await world.wait(600_000);
    world.submit();
    await world.wait(4_000); // a sandbox that starts slowly: the watchdog looks while the dial is under way
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["interrupted", "succeeded"]);
  });

  it("a run without a free machine says so once, waits as long as it takes, and can be stopped meanwhile", async () => {
    const world = new World();
    world.hasPlace = false;
    world.submit();
    world.submit();
    for (let seconds = 0; seconds < 300; seconds += 1) {
      await world.answerDial();
      await world.wait(1_000);
    }
    const waiting = (): number => world.events().filter((event) => event.type === "sandbox.waiting").length;
    expect([waiting(), endings(world)]).toEqual([1, []]);
    world.interrupt();
    await world.answerDial();
    expect([waiting(), endings(world)]).toEqual([2, ["interrupted"]]);
    world.hasPlace = true;
    await world.settle();
    audit(world);
    expect(endings(world)).toEqual(["interrupted", "succeeded"]);
  });

  it("a waiting run that is cancelled after the one before it ended leaves the session idle", async () => {
    const world = await atWork();
    world.submit();
    world.runner.work("end");
    world.diskFullAfter = 1; // the end is stored, and the next run is not begun
    await world.deliver("up", 50);
    world.cancel();
    await world.settle();
    audit(world);
  });

  it.each<[string, (world: World) => unknown]>([
    ["is stored", (world) => (world.runner.work("message"), world.deliver("up", 1))],
    ["is the end", (world) => (world.runner.work("end"), world.deliver("up", 1))],
    ["is an interrupt", (world) => world.interrupt()],
    ["is a prompt", (world) => world.submit()],
  ])("readers are woken by what %s", async (_name, act) => {
    const world = await atWork();
    const before = world.events().length;
    const seen = world.woken().then(() => world.events().length);
    await act(world);
    expect(
      await Promise.race([
        seen,
        Promise.resolve()
          .then(() => vi.advanceTimersByTimeAsync(0))
          .then(() => "asleep"),
      ]),
    ).toBeGreaterThan(before);
  });

  it("an idle session has nothing to interrupt", async () => {
    const world = new World();
    expect(world.interrupt()).toBe(false);
    world.submit();
    expect(world.interrupt()).toBe(true);
    await world.settle();
    audit(world);
    expect(world.interrupt()).toBe(false);
    expect(endings(world)).toEqual(["interrupted"]);
    expect(world.runner.worked, "it was never sent").toEqual([]);
  });

  it("a session at rest holds no link and no alarm, and nothing wakes it", async () => {
    const world = await atWork();
    await world.settle();
    expect(world.atRest).toBe(true);
    const before = world.events().length;
    await world.wait(600_000);
    expect(world.events().length).toBe(before);
    expect(world.dialling).toBe(0);
  });
});

/** Reports that are false, malformed or not the runner's business. */
describe("a hostile runner", () => {
  const at = Date.UTC(2026, 10, 21);
  const end = { id: "x1", at, type: "run.ended", outcome: "succeeded", result: "", error: null, usage: null };
  const ended = { ...end, num_turns: 1, duration_ms: 1 };
  const message = { id: "x2", at, type: "agent.message", content: [] };

  it.each<[string, runId: "its" | "other" | null, events: unknown[], stored: string[], outcomes: string[]]>([
    ["ends a run twice in one frame", "its", [ended, { ...ended, id: "x9" }], [], ["succeeded"]],
    ["ends a run in the name of none", null, [ended], [], ["interrupted"]],
    ["speaks for a run that is not in progress", "other", [message, ended], [], ["interrupted"]],
    ["speaks between runs", null, [message], ["agent.message"], ["interrupted"]],
    [
      "writes what only the session may",
      "its",
      [{ id: "x3", at, type: "user.interrupt" }],
      ["session.error"],
      ["interrupted"],
    ],
    [
      "writes nonsense among sense",
      "its",
      [7, message, { type: "?" }],
      ["session.error", "agent.message", "session.error"],
      ["interrupted"],
    ],
    ["writes from before time", "its", [{ ...message, at: -1e300 }], ["session.error"], ["interrupted"]],
    ["writes from the future", "its", [{ ...message, at: at * 2 }], ["agent.message"], ["interrupted"]],
    [
      "gives an event the fields of its header",
      "its",
      [{ ...message, seq: 99, run_id: "run_0", processed_at: "" }],
      ["agent.message"],
      ["interrupted"],
    ],
  ])("%s", async (_name, of, events, stored, outcomes) => {
    const world = await atWork();
    const runId = world.runs()[0]?.id;
    world.say({ type: "frame", frame: 1, runId: of === "its" ? runId : of === "other" ? "run_x" : null, events });
    await world.deliver("up", 10);
    const after = world.events();
    const told = after.slice(after.findIndex((event) => event.type === "run.started") + 1);
    expect(told.filter((event) => /^(agent|session\.error|user)/.test(event.type)).map((event) => event.type)).toEqual(
      stored,
    );
    for (const event of told) expect(Date.parse(event.processed_at)).toBeLessThanOrEqual(Date.now());
    // Refused or not, it is acknowledged; otherwise it would be resent for ever.
    expect(world.wires.at(-1)?.wire.down).toContain('{"type":"ack","frame":1}');
    if (outcomes[0] === "interrupted") {
      world.interrupt();
      world.say({ type: "frame", frame: 2, runId, events: [{ ...ended, id: "x8", outcome: "interrupted" }] });
      await world.deliver("up", 10);
    }
    const ends = only(world.events(), "run.ended");
    expect(ends.map((each) => [each.outcome, each.run_id])).toEqual(outcomes.map((outcome) => [outcome, runId]));
    expect(world.events().map((event) => event.seq)).toEqual(world.events().map((_, index) => index + 1));
  });
});

import { request } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { CuttingProxy } from "../kit/cutting-proxy.ts";
import { Gantry, rounds, script } from "../kit/gantry.ts";

/**
 * A client that is cut off after any number of bytes and comes back with what it has sees each event exactly once, byte
 * for byte as a reader that was never interrupted.
 */

const SEED = Number(process.env["GANTRY_SEED"] ?? Date.now() % 2 ** 31);

let gantry: Gantry;
beforeAll(async () => {
  process.stderr.write(`reconnect: GANTRY_SEED=${SEED}\n`);
  gantry = await Gantry.start({ GANTRY_PERMISSION_MODE: "bypassPermissions" });
});
afterAll(() => gantry.remove());

/** Events of all kinds and sizes, letters of one to four bytes, and time enough to be cut off in the middle. */
const STORY = script(
  { text: "naïve – 漢字 🎈 ".repeat(30), chunk: 7, chunkMs: 5, tool: "Bash", input: { command: "seq 1 3000" } },
  { thinking: "Hm.", text: 'quotes " and \\ and\nlines '.repeat(40), chunk: 9, chunkMs: 10 },
);

const isLast = (line: string): boolean => line.startsWith('{"type":"session.status_idle"');

/** The story: what is saved after its end is still written when some have read it already. */
const storyOf = (lines: readonly string[]): string[] => lines.slice(0, lines.findIndex(isLast) + 1);

/** What one connection brought: whole lines, and the cursor of each. */
interface Piece {
  readonly lines: readonly string[];
  readonly ids: readonly string[];
}

interface Reader {
  readonly name: string;
  /** Reads from a cursor on until the end of the story or of the connection. */
  read(base: string, sessionId: string, last: string | null): Promise<Piece>;
}

/** The bytes of a response, as far as they came. */
function get(url: string, headers: Record<string, string>, isOver: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const whole = (): string => Buffer.concat(chunks).toString("utf8");
    const req = request(url, { headers: { authorization: `Bearer ${gantry.key}`, ...headers }, agent: false });
    req.on("error", () => resolve(whole()));
    req.on("response", (response) => {
      response.on("error", () => null);
      response.on("close", () => resolve(whole()));
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (isOver(whole())) req.destroy();
      });
    });
    req.end();
  });
}

const seqOf = (line: string): string => String((JSON.parse(line) as { seq: number }).seq);
const idOf = (line: string): string => (JSON.parse(line) as { id: string }).id;

/** Whole lines: what comes after the last newline is cut. */
function whole(text: string): string[] {
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "");
}

const PATH = (sessionId: string): string => `/v1/sessions/${sessionId}/events`;

const sse: Reader["read"] = async (base, sessionId, last) => {
  const text = await get(
    `${base}${PATH(sessionId)}/stream?event_deltas[]=agent.message&after=0`,
    { accept: "text/event-stream", ...(last === null ? {} : { "last-event-id": last }) },
    (sofar) => /^event: session\.status_idle\nid: \d+\ndata: .*\n\n/m.test(sofar),
  );
  const events = text.slice(0, text.lastIndexOf("\n\n") + 2).split("\n\n");
  const found = events.flatMap((event) => /^event: .*\nid: (.*)\ndata: (.*)$/.exec(event)?.slice(1, 3) ?? []);
  return { ids: found.filter((_, at) => at % 2 === 0), lines: found.filter((_, at) => at % 2 === 1) };
};

const ndjson =
  (cursorOf: (line: string) => string): Reader["read"] =>
  async (base, sessionId, last) => {
    const text = await get(
      `${base}${PATH(sessionId)}/stream?event_deltas[]=agent.message&after=${last ?? 0}`,
      { accept: "application/x-ndjson" },
      (sofar) => whole(sofar).some(isLast),
    );
    const lines = whole(text);
    return { lines, ids: lines.map(cursorOf) };
  };

const socket =
  (confirms: boolean): Reader["read"] =>
  (base, sessionId, last) =>
    new Promise((resolve) => {
      const lines: string[] = [];
      const url = `${base.replace("http", "ws")}${PATH(sessionId)}/ws?event_deltas[]=agent.message&after=${last ?? 0}&ack=${confirms}`;
      const ws = new WebSocket(url, { headers: { authorization: `Bearer ${gantry.key}` } });
      ws.on("error", () => null);
      ws.on("close", () => resolve({ lines, ids: lines.map(seqOf) }));
      ws.on("message", (data: Buffer) => {
        lines.push(...data.toString("utf8").split("\n"));
        if (confirms) ws.send(JSON.stringify({ type: "ack", seq: Number(seqOf(lines.at(-1) ?? "")) }));
        if (lines.some(isLast)) ws.terminate();
      });
    });

const READERS: readonly Reader[] = [
  { name: "server-sent events, Last-Event-ID", read: sse },
  { name: "NDJSON, ?after=seq", read: ndjson(seqOf) },
  { name: "NDJSON, ?after=id", read: ndjson(idOf) },
  { name: "WebSocket, ?after=", read: socket(false) },
  { name: "WebSocket that confirms", read: socket(true) },
];

/** Reads the whole story over connections that carry as many bytes as `budgets` say, then as many as it takes. */
async function readCut(reader: Reader, sessionId: string, budgets: readonly number[]): Promise<string[]> {
  let next = 0;
  const proxy = await CuttingProxy.start(gantry.url, () => budgets[next++] ?? Infinity);
  try {
    const lines: string[] = [];
    for (let last: string | null = null; !lines.some(isLast);) {
      const piece = await reader.read(proxy.url, sessionId, last);
      lines.push(...piece.lines);
      last = piece.ids.at(-1) ?? last;
    }
    expect(proxy.cuts).toBeGreaterThan(0);
    return storyOf(lines);
  } finally {
    proxy.stop();
  }
}

/** How far each connection gets. The first ones of a response are spent on its head; the first of all is always cut. */
const budgets = fc
  .tuple(
    fc.integer({ min: 0, max: 2_000 }),
    fc.array(fc.oneof(fc.integer({ min: 0, max: 900 }), fc.integer({ min: 300, max: 9_000 })), {
      minLength: 2,
      maxLength: 12,
    }),
  )
  .map(([first, rest]) => [first, ...rest]);

async function newSession(): Promise<string> {
  return ((await (await gantry.post("/v1/sessions", {})).json()) as { id: string }).id;
}

const prompt = { events: [{ type: "user.message", content: [{ type: "text", text: STORY }] }] };

describe("a client that is cut off", () => {
  it("misses nothing and sees nothing twice while a run streams", async () => {
    const sessionId = await newSession();
    const uncut = ndjson(seqOf)(gantry.url, sessionId, null);
    const samples = fc.sample(budgets, { seed: SEED, numRuns: READERS.length });
    const reading = READERS.map((reader, at) => readCut(reader, sessionId, samples[at] ?? []));
    expect((await gantry.post(PATH(sessionId), prompt)).status).toBe(200);
    const lines = storyOf((await uncut).lines);
    expect(lines.map(seqOf)).toEqual(lines.map((_, at) => String(at + 1)));
    expect(lines.length).toBeGreaterThan(30);
    for (const [at, seen] of (await Promise.all(reading)).entries())
      expect(seen, `${READERS[at]?.name}, GANTRY_SEED=${SEED}`).toEqual(lines);
  });

  describe("after the run", () => {
    let sessionId = "";
    let uncut: readonly string[] = [];
    beforeAll(async () => {
      sessionId = await newSession();
      expect((await gantry.post(PATH(sessionId), prompt)).status).toBe(200);
      uncut = storyOf((await ndjson(seqOf)(gantry.url, sessionId, null)).lines);
    });

    it.each(READERS)("sees the same log: $name", async (reader) => {
      await fc.assert(
        fc.asyncProperty(budgets, async (each) => {
          expect(await readCut(reader, sessionId, each)).toEqual(uncut);
        }),
        { seed: SEED, numRuns: rounds(8, 3), endOnFailure: true },
      );
    });

    it("sees the same lines at POST /claude-code", async () => {
      const runId = (JSON.parse(uncut.at(-1) ?? "{}") as { run_id: string }).run_id;
      // The request's own id is the only thing that differs.
      const told = (text: string): string[] =>
        whole(text).map((line) => line.replace(/"requestId":"\w+"/, '"requestId":"-"'));
      const story = (base: string, after: string): Promise<string> =>
        get(`${base}/claude-code/${sessionId}/${runId}?after=${after}`, { accept: "text/plain" }, () => false);
      const once = told(await story(gantry.url, "0"));
      expect(once.at(-1)).toContain('"type":"result"');
      await fc.assert(
        fc.asyncProperty(budgets, async (each) => {
          let next = 0;
          const proxy = await CuttingProxy.start(gantry.url, () => each[next++] ?? Infinity);
          const lines: string[] = [];
          while (lines.at(-1) !== once.at(-1)) {
            const last = lines.at(-1);
            lines.push(...told(await story(proxy.url, last === undefined ? "0" : seqOf(last))));
          }
          proxy.stop();
          expect(lines).toEqual(once);
        }),
        { seed: SEED, numRuns: rounds(5, 2), endOnFailure: true },
      );
    });
  });
});

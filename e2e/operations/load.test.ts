import { connect } from "node:net";
import type { Socket } from "node:net";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";

/** Much of everything: events in a session, letters in a prompt, listeners, sessions, and clients that read slowly. */

const EVENTS = 100_000;
/** Making them is what takes long: two thousand in CI. */
const SESSIONS = process.env["GANTRY_HEAVY_TESTS"] === "1" ? 2_000 : 250;
const LISTENERS = 1_000;

let gantry: Gantry;
/** The session with many events. */
let big = "";
beforeAll(async () => {
  gantry = await Gantry.start({ GANTRY_PERMISSION_MODE: "bypassPermissions" });
  big = await newSession();
  await gantry.stop();
  fill(big);
  await gantry.start();
});
afterAll(() => gantry.remove());

async function newSession(): Promise<string> {
  const response = await gantry.post("/v1/sessions", {});
  expect(response.status).toBe(200);
  return ((await response.json()) as { id: string }).id;
}

/** Writes events into a session's database while nothing runs, as a year of use would. */
function fill(sessionId: string): void {
  const folder = join(gantry.state, "storage", "do", "gantry-Session");
  for (const name of readdirSync(folder).filter((each) => each.endsWith(".sqlite"))) {
    const database = new DatabaseSync(join(folder, name));
    const tables = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'session'").all();
    const isIt = tables.length > 0 && database.prepare("SELECT id FROM session").get()?.["id"] === sessionId;
    if (isIt) {
      database.exec("BEGIN");
      const insert = database.prepare(
        "INSERT INTO events (seq, id, run_id, type, at, data) VALUES (?, ?, 'run_old', 'agent.message', ?, ?)",
      );
      for (let seq = 1; seq <= EVENTS; seq++) {
        const data = JSON.stringify({ content: [{ type: "text", text: `${seq} `.padEnd(100, "x") }] });
        insert.run(seq, `sevt_${seq}`, 1_700_000_000_000 + seq, data);
      }
      database.exec("COMMIT");
    }
    database.close();
    if (isIt) return;
  }
  throw new Error("the session's database is not there");
}

const seqsOf = (text: string): number[] => Array.from(text.matchAll(/"seq":(\d+)/g), (found) => Number(found[1]));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, at) => at + 1);
const message = (text: string) => ({ events: [{ type: "user.message", content: [{ type: "text", text }] }] });
const send = (id: string, text: string): Promise<Response> =>
  gantry.fetch(`/v1/sessions/${id}/events`, {
    method: "POST",
    body: JSON.stringify(message(text)),
    headers: { prefer: "wait=60" },
  });

/** Opens the log of a session by WebSocket; each frame is handed over. */
function listen(id: string, query: string, onFrame: (frame: string, socket: WebSocket) => void): WebSocket {
  const socket = new WebSocket(`${gantry.url.replace("http", "ws")}/v1/sessions/${id}/events/ws${query}`, {
    headers: { authorization: `Bearer ${gantry.key}` },
  });
  socket.on("error", () => null);
  socket.on("message", (data: Buffer) => onFrame(data.toString("utf8"), socket));
  return socket;
}

const workerMb = (): number => {
  const [pid = 0] = gantry.processes().workerd;
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1024;
};

describe("a hundred thousand events in one session", () => {
  it.each(["asc", "desc"])("are paged %s without gap or repeat", async (order) => {
    const seqs: number[] = [];
    for (let page: string | null = ""; page !== null;) {
      const response = await gantry.fetch(
        `/v1/sessions/${big}/events?limit=1000&order=${order}${page === "" ? "" : `&page=${page}`}`,
      );
      const text = await response.text();
      seqs.push(...seqsOf(text));
      page = /"next_page":(?:"(\w+)"|null)\}$/.exec(text)?.[1] ?? null;
    }
    expect(seqs).toEqual(order === "asc" ? upTo(EVENTS) : upTo(EVENTS).toReversed());
  });

  it("are streamed from the first on", async () => {
    const response = await gantry.fetch(`/v1/sessions/${big}/events/stream?after=0`, {
      headers: { accept: "application/x-ndjson" },
    });
    const seqs: number[] = [];
    let rest = "";
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const at = (rest + text).lastIndexOf("\n") + 1;
      seqs.push(...seqsOf((rest + text).slice(0, at)));
      rest = (rest + text).slice(at);
      if (seqs.at(-1) === EVENTS) break;
    }
    expect(seqs).toEqual(upTo(EVENTS));
  });

  it("come by WebSocket: to a client that confirms at one go, to another in several", async () => {
    const read = async (confirms: boolean): Promise<{ seqs: number[]; connections: number }> => {
      const seqs: number[] = [];
      let connections = 0;
      while (seqs.at(-1) !== EVENTS) {
        connections += 1;
        let code = 0;
        const socket = listen(big, `?after=${seqs.at(-1) ?? 0}&ack=${confirms}`, (frame) => {
          seqs.push(...seqsOf(frame));
          if (confirms) socket.send(JSON.stringify({ type: "ack", seq: seqs.at(-1) }));
          if (seqs.at(-1) === EVENTS) socket.terminate();
        });
        socket.on("close", (why) => (code = why));
        // Closed by the other side: workerd leaves the connection open for a while.
        await until(() => socket.readyState >= WebSocket.CLOSING, "the end of the connection");
        socket.terminate();
        await until(() => code !== 0, "the reason");
        if (seqs.at(-1) !== EVENTS) expect(code).toBe(4008);
      }
      return { seqs, connections };
    };
    const [patient, forgetful] = await Promise.all([read(true), read(false)]);
    expect(patient.seqs).toEqual(upTo(EVENTS));
    expect(patient.connections).toBe(1);
    expect(forgetful.seqs).toEqual(upTo(EVENTS));
    expect(forgetful.connections).toBeGreaterThan(1);
  });

  it("do not fill the memory when clients read a kilobyte a second, and others are served meanwhile", async () => {
    await send(big, "What is 1 + 1?");
    const before = workerMb();
    const readers: Socket[] = [];
    const { port, hostname } = new URL(gantry.url);
    const heads = ["", "&event_deltas=agent.message"].flatMap((query) =>
      ["application/x-ndjson", "text/event-stream"].map(
        (accept) =>
          `GET /v1/sessions/${big}/events/stream?after=0${query} HTTP/1.1\r\nhost: ${hostname}\r\naccept: ${accept}\r\nauthorization: Bearer ${gantry.key}\r\n\r\n`,
      ),
    );
    for (let at = 0; at < 20; at++) {
      const socket = connect(Number(port), hostname);
      socket.on("error", () => null);
      socket.write(heads[at % heads.length] ?? "");
      // A kilobyte a second: by hand, whatever has come meanwhile stays in the system's buffers.
      socket.pause();
      readers.push(socket);
    }
    // One that never reads a WebSocket's frames and never confirms.
    const idle = listen(big, "?after=0", (_frame, socket) => socket.pause());
    const slowly = setInterval(() => readers.forEach((socket) => socket.read(1024)), 1000);
    for (let round = 0; round < 3; round++) {
      const other = await newSession();
      expect(await (await send(other, "What is 7 * 6?")).json()).toMatchObject({ run: { outcome: "succeeded" } });
    }
    const answer = await send(big, "What is 2 + 2?");
    expect(await answer.json()).toMatchObject({ run: { outcome: "succeeded" } });
    // All of it for all of them would be 400 MB.
    expect(workerMb() - before).toBeLessThan(150);
    clearInterval(slowly);
    idle.terminate();
    for (const socket of readers) socket.destroy();
  });
});

describe("a thousand listeners on one session", () => {
  it("all see all of it", async () => {
    const id = await newSession();
    const seen: number[][] = [];
    const sockets = upTo(LISTENERS).map(() => {
      const seqs: number[] = [];
      seen.push(seqs);
      return listen(id, "?after=0", (frame) => seqs.push(...seqsOf(frame)));
    });
    await until(() => sockets.every((socket) => socket.readyState === WebSocket.OPEN), "a thousand sockets");
    const answer = await send(id, script({ text: "piece by piece ".repeat(20), chunk: 5, chunkMs: 2 }));
    expect(await answer.json()).toMatchObject({ run: { outcome: "succeeded" } });
    const log = (await gantry.log(id)).filter(({ type }) => !type.startsWith("event_")).map(({ seq }) => seq);
    await until(() => seen.every((seqs) => seqs.length >= log.length), "all listeners to have all");
    for (const seqs of seen) expect(seqs).toEqual(log);
    for (const socket of sockets) socket.terminate();
  });
});

describe("many sessions", () => {
  it("are listed once each, newest first, while more are made", async () => {
    const client = clientOf(gantry);
    const made = new Set<string>();
    const makeOne = async (): Promise<void> => void made.add(await newSession());
    for (let at = 0; at < SESSIONS; at += 25) await Promise.all(upTo(25).map(makeOne));
    const listed: string[] = [];
    for await (const session of client.beta.sessions.list({ limit: 100 })) {
      listed.push(session.id);
      // What is made while the list is read comes before its beginning.
      if (listed.length % 100 === 0) await newSession();
    }
    expect(new Set(listed).size).toBe(listed.length);
    expect(listed.filter((id) => made.has(id))).toHaveLength(SESSIONS);
    expect(listed).toContain(big);
  });
});

describe("a prompt of ten megabytes", () => {
  const LIMIT = 10 * 1024 * 1024;
  const bodyOf = (bytes: number): string => {
    const empty = JSON.stringify(message("")).length;
    return JSON.stringify(message("x".repeat(bytes - empty)));
  };

  it("is accepted up to the limit and stored whole", async () => {
    const id = await newSession();
    const body = bodyOf(LIMIT);
    const path = `/v1/sessions/${id}/events`;
    const response = await gantry.fetch(path, { method: "POST", body, headers: { prefer: "wait=60" } });
    // No model reads that much, and the run says so.
    expect(await response.json()).toMatchObject({ run: { outcome: "failed", error: { type: "prompt_too_long" } } });
    const prompt = (await gantry.log(id)).find((event) => event.type === "user.message");
    expect(JSON.stringify({ events: [{ type: prompt?.type, content: prompt?.content }] }) === body).toBe(true);
  });

  it("is refused above it, by name and with nothing stored", async () => {
    const id = await newSession();
    const response = await gantry.fetch(`/v1/sessions/${id}/events`, { method: "POST", body: bodyOf(LIMIT + 1) });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({
      error: { type: "request_too_large", message: expect.stringContaining(String(LIMIT)) },
    });
    expect(await gantry.log(id)).toEqual([]);
  });

  it("of as much as a model takes goes the whole way, in letters of any size", async () => {
    const id = await newSession();
    const text = `${"word ".repeat(60_000)}${"漢字🎈".repeat(8_000)}`;
    const { run } = (await (await send(id, text + script({ text: "read" }))).json()) as {
      run: { result: string; usage: { input_tokens: number } };
    };
    expect(run.result).toBe("read");
    // The demonstration model counts a token for four bytes of what it was given.
    expect(run.usage.input_tokens).toBeGreaterThan(Buffer.byteLength(text) / 4);
  });
});

describe("texts that are hard to carry", () => {
  it.each([
    ["half a letter of two code units", "a\ud800b"],
    ["NUL and other controls", "a\u0000b\u0001\u001f\u007f"],
    ["line separators and byte order marks", "\u2028\u2029\ufeff"],
    ["every kind of letter", "é 漢 🎈 \u{10ffff}"],
  ])("%s: the log holds what was sent, and the run ends", async (_name, text) => {
    const id = await newSession();
    const answer = await send(id, `What is 7 * 6? ${text}`);
    const { run } = (await answer.json()) as { run: { outcome: string } };
    expect(run.outcome).toBe("succeeded");
    const prompt = (await gantry.log(id)).find((event) => event.type === "user.message");
    expect(prompt).toMatchObject({ content: [{ text: `What is 7 * 6? ${text}` }] });
  });

  it.each([
    ["/claude-code", Buffer.from([0x7b, 0xff, 0xfe])],
    ["/v1/sessions/SESSION/events", Buffer.from('{"events":[{"type":"user.message","content":"\xc3\x28"}]}', "latin1")],
  ])("bytes at %s that are not UTF-8 are refused", async (path, body) => {
    const id = await newSession();
    const response = await gantry.fetch(path.replace("SESSION", id), { method: "POST", body });
    expect(response.status).toBe(400);
    expect(await response.text()).toContain("UTF-8");
    expect(await gantry.log(id)).toEqual([]);
  });
});

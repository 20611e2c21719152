import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@gantry/protocol/ids.ts";
import { afterEach, beforeEach, expect, it } from "vitest";
import { logFailuresTo } from "../base/guarded.ts";
import { startRunner } from "./server.ts";
import type { Runner } from "./server.ts";

const TOKEN = "token";
const wish = (schema: string): string =>
  `{"options":{"model":"m","permissionMode":"default","maxTurns":1,"agent":{"x":${schema}}},"models":{"baseUrl":"http://x"}}`;

let root: string;
let runner: Runner;
const logged: Record<string, unknown>[] = [];
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "gantry-runner-"));
  logged.length = 0;
  logFailuresTo((entry) => logged.push(entry));
  runner = await startRunner({
    host: "127.0.0.1",
    port: 0,
    token: TOKEN,
    root,
    markerPrefix: `test-${process.pid}-${newId("runner")}-`,
    path: process.env["PATH"] ?? "",
    idleMs: 1000,
    maxEngines: 1,
    pool: { size: 0, first: null },
    log: (entry) => logged.push(entry),
  });
});
afterEach(async () => {
  await runner.drain(0);
  rmSync(root, { recursive: true, force: true });
});

const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${runner.port}${path}`, { ...init, headers: { authorization: `Bearer ${TOKEN}` } });

it("sec/H1 refuses a wish that is nested too deep, and goes on", async () => {
  const deep = `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`;
  expect((await ask("/spares", { method: "POST", body: wish(deep) })).status).toBe(400);
  expect((await ask("/health")).status).toBe(200);
});

it("sec/H1 answers 500 when a request fails, and goes on", async () => {
  // A folder of the session that cannot be created: its name is taken by a file.
  const id = newId("session");
  writeFileSync(join(root, id), "");
  expect((await ask(`/sessions/${id}/files/a.txt`, { method: "PUT", body: "x" })).status).toBe(500);
  rmSync(root, { recursive: true });
  writeFileSync(root, "");
  expect((await ask(`/sessions/${newId("session")}`, { method: "DELETE" })).status).toBe(500);
  expect((await ask("/health")).status).toBe(200);
});

it("sec/low 3 refuses a name that is too long with 400, and shows no path of this machine", async () => {
  const id = newId("session");
  const put = (path: string): Promise<Response> => ask(`/sessions/${id}/files/${path}`, { method: "PUT", body: "x" });
  expect((await put("ok.txt")).status).toBe(200);
  for (const path of ["n".repeat(300), `a/${"n".repeat(300)}/b`, `${"é".repeat(200)}`]) {
    const answer = await put(encodeURIComponent(path).replaceAll("%2F", "/"));
    expect(answer.status).toBe(400);
    expect(await answer.text()).not.toContain(root);
  }
  const taken = newId("session");
  writeFileSync(join(root, taken), "");
  const answer = await ask(`/sessions/${taken}/files/a.txt`, { method: "PUT", body: "x" });
  expect(answer.status).toBe(500);
  expect(await answer.text()).not.toContain(root);
});

it("sec/H2 removes a deleted session's folder, however deep it is, and goes on", async () => {
  const id = newId("session");
  mkdirSync(join(root, id));
  for (let count = 0; count < 40; count++) {
    mkdirSync(join(root, "above"));
    renameSync(join(root, id), join(root, "above", "x".repeat(200)));
    renameSync(join(root, "above"), join(root, id));
  }
  const answer = await ask(`/sessions/${id}`, { method: "DELETE" });
  expect(await answer.json()).toEqual({ deleted: id, removed: true });
  expect(readdirSync(root).includes(id)).toBe(false);
  expect((await ask("/health")).status).toBe(200);
});

it("sec/H1 goes on when a client breaks off an upgrade", async () => {
  for (const path of ["/sessions/x/link", `/sessions/${newId("session")}/link`]) {
    const socket = connect(runner.port, "127.0.0.1");
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 5));
    socket.resetAndDestroy();
  }
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect((await ask("/health")).status).toBe(200);
});

import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Gantry, lastOf, rows, until } from "../kit/gantry.ts";

/** A disk that is full for a while: every request ends, health says what is, and with room everything works again by itself. */

const folder = mkdtempSync(join(tmpdir(), "gantry-full-disk-"));
const state = join(folder, "state");
mkdirSync(state);
const mounted =
  process.platform === "linux" &&
  spawnSync("/bin/mount", ["-t", "tmpfs", "-o", "size=200m", "tmpfs", state], { stdio: "ignore" }).status === 0;
if (!mounted) process.stderr.write("No small disk can be mounted here (it takes root): the full disk is not tested.\n");

/** Longer than any call to the storage may take. */
const PATIENCE_MS = 30_000;

describe.skipIf(!mounted)("a full disk", () => {
  let gantry: Gantry;
  beforeAll(async () => {
    // Requests are let through to the storage, which is what must bear it.
    gantry = await Gantry.start({ GANTRY_STATE: state, GANTRY_MIN_FREE_BYTES: "0" });
  });
  afterAll(async () => {
    await gantry.remove();
    spawnSync("/bin/umount", ["-l", state]);
    rmSync(folder, { recursive: true, force: true });
  });

  const ask = async (path: string, body?: object, headers: Record<string, string> = {}): Promise<Response> =>
    gantry.fetch(path, {
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      headers,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  const prompt = { events: [{ type: "user.message", content: [{ type: "text", text: "What is 6 * 7?" }] }] };

  /** Whatever a client may do: each part of the storage is written and read. */
  const everything = (sessionId: string): Promise<Response>[] => {
    const agent = { name: "a", model: "demo/scripted", system: "x".repeat(5_000) };
    const form = new FormData();
    form.set("file", new Blob([new Uint8Array(20_000)]), "x.bin");
    return [
      ask("/v1/agents", agent),
      ask("/v1/agents", agent, { "idempotency-key": crypto.randomUUID() }),
      ask("/v1/agents?limit=2"),
      ask("/v1/sessions", {}),
      ask(`/v1/sessions/${sessionId}/events`, prompt),
      ask(`/v1/sessions/${sessionId}/events?limit=2`),
      ask("/v1/usage"),
      gantry.fetch("/v1/files", { method: "POST", body: form, signal: AbortSignal.timeout(PATIENCE_MS) }),
    ];
  };

  const fill = (): void => {
    const file = openSync(join(state, "filler"), "w");
    for (const size of [1 << 20, 4096]) {
      const block = Buffer.alloc(size);
      try {
        while (writeSync(file, block) === size);
      } catch {
        // Full.
      }
    }
    closeSync(file);
  };

  it.each(rows(["once", "twice", "three times"], 1))(
    "is told with clear errors, and forgotten when there is room: %s",
    async () => {
      const made = (await (await ask("/v1/sessions", {})).json()) as { id: string };
      expect(made.id).toMatch(/^sesn_/);
      fill();
      for (let n = 0; n < 4; n++) {
        for (const answering of everything(made.id)) {
          // A workerd that the system ends for want of memory pages is started again; a connection may be cut.
          const answer = await answering.catch((error: Error) => error);
          if (answer instanceof Error) expect(answer.name, "a request hung").not.toBe("TimeoutError");
          else if (answer.status >= 400) expect([429, 503, 507]).toContain(answer.status);
        }
        const health = await ask("/health").catch(() => null);
        if (health) expect([200, 503]).toContain(health.status);
        if (health?.status === 503)
          expect(await health.json()).toMatchObject({
            status: "unavailable",
            unavailable: expect.arrayContaining([expect.stringMatching(/^(catalog|files|ledger)$/)]),
          });
      }
      rmSync(join(state, "filler"));
      await until(async () => (await ask("/health").catch(() => null))?.status === 200, "it to be well again");
      // What health says holds for each request.
      await until(async () => {
        const answers = await Promise.all(everything(made.id).map((answering) => answering.catch(() => null)));
        return answers.every((answer) => answer?.ok === true);
      }, "everything to be answered");
      const log = await gantry.untilLog(
        made.id,
        (events) => lastOf(events)?.type === "session.status_idle",
        "what was accepted to end",
      );
      expect(log.filter((e) => e.type === "run.ended").length).toBe(log.filter((e) => e.type === "run.queued").length);
    },
  );
});

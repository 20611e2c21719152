import { RequestRefused } from "@gantry/protocol/error.ts";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EventLog } from "../log/event-log.ts";
import { memoryDatabase } from "../testing/sqlite.ts";
import { Sockets } from "./sockets.ts";
import type { KeyWatch } from "./sockets.ts";

class FakeSocket {
  attachment: unknown = null;
  readonly closed: number[] = [];
  serializeAttachment(value: unknown): void {
    this.attachment = structuredClone(value);
  }
  deserializeAttachment(): unknown {
    return this.attachment;
  }
  send(): void {}
  close(code: number): void {
    this.closed.push(code);
  }
}

const STATE = {
  account: "a",
  view: "demo",
  previews: false,
  after: 0,
  unread: 0,
  confirms: false,
  mark: null,
};

/** Sockets as an object finds them when it wakes: only their stored states are left. */
function wake(states: object[], holds: KeyWatch["holds"]) {
  const sockets = states.map((state) => {
    const socket = new FakeSocket();
    socket.serializeAttachment({ ...STATE, ...state });
    return socket;
  });
  const alarms: (number | null)[] = [];
  const ctx = { getWebSockets: () => sockets, setWebSocketAutoResponse() {} } as unknown as DurableObjectState;
  const keys = { holds, setAlarm: (at: number | null): void => void alarms.push(at) };
  return { all: new Sockets(new EventLog(memoryDatabase().sql), ctx, keys), sockets, alarms };
}

const asked = (socket: FakeSocket | undefined): WebSocket => socket as unknown as WebSocket;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  vi.stubGlobal("WebSocketRequestResponsePair", class {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("sec/H6 the key of an open WebSocket", () => {
  it("is asked again at each prompt, and 4401 closes the socket when it was revoked", async () => {
    let valid = true;
    const { all, sockets } = wake([{ keyId: "key_1", keyEndsAt: null }], async () => valid);
    expect(await all.mayPrompt(asked(sockets[0]))).toBe(true);
    valid = false;
    expect(await all.mayPrompt(asked(sockets[0]))).toBe(false);
    expect(sockets[0]?.closed).toEqual([4401]);
  });

  it("ends at its exact time, whatever the database says", async () => {
    const { all, sockets } = wake([{ keyId: "key_1", keyEndsAt: 1_000_000 }], async () => true);
    expect(await all.mayPrompt(asked(sockets[0]))).toBe(false);
    expect(sockets[0]?.closed).toEqual([4401]);
  });

  it("is unknown in a socket of an earlier version, which closes with 4401 at its next prompt", async () => {
    const { all, sockets } = wake([{}], async () => true);
    await all.watchKeys();
    expect(sockets[0]?.closed).toEqual([]);
    expect(await all.mayPrompt(asked(sockets[0]))).toBe(false);
    expect(sockets[0]?.closed).toEqual([4401]);
  });

  it("is watched while the socket is open, and only then", async () => {
    const holds = vi.fn<KeyWatch["holds"]>(async (id) => id !== "key_2");
    const { all, sockets, alarms } = wake(
      [
        { keyId: "key_1", keyEndsAt: 1_030_000 },
        { keyId: "key_2", keyEndsAt: null },
        { keyId: "key_2", keyEndsAt: null },
      ],
      holds,
    );
    await all.watchKeys();
    expect(sockets.map(({ closed }) => closed)).toEqual([[], [4401], [4401]]);
    expect(holds).toHaveBeenCalledTimes(2);
    expect(alarms).toEqual([1_030_000]);
    vi.setSystemTime(1_030_000);
    await all.watchKeys();
    expect(sockets[0]?.closed).toEqual([4401]);
    expect(alarms.at(-1)).toBeNull();
  });

  it("does not close a reader when the database does not answer; a prompt is refused", async () => {
    const refused = new RequestRefused({ code: "storage_unavailable", part: "catalog" });
    const { all, sockets, alarms } = wake([{ keyId: "key_1", keyEndsAt: null }], () => Promise.reject(refused));
    await all.watchKeys();
    expect(alarms).toEqual([1_060_000]);
    await expect(all.mayPrompt(asked(sockets[0]))).rejects.toBe(refused);
    expect(sockets[0]?.closed).toEqual([]);
  });
});

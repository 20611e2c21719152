import { describe, expect, it } from "vitest";
import { Lease } from "./lease.ts";
import { memoryDatabase } from "../testing/sqlite.ts";

describe("the lease", () => {
  it("has no runner at first", () => {
    const lease = new Lease(memoryDatabase().sql);
    expect(lease.cursor()).toBeNull();
    expect(lease.token()).toBeNull();
  });

  it("gives a higher epoch each time, also to an object that comes back", () => {
    const { sql } = memoryDatabase();
    const lease = new Lease(sql);
    expect([lease.nextEpoch(), lease.nextEpoch(), new Lease(sql).nextEpoch()]).toEqual([1, 2, 3]);
  });

  it("remembers what was stored, and from which runner", () => {
    const { sql } = memoryDatabase();
    const lease = new Lease(sql);
    lease.moveTo("rnr_1", "gst_1");
    expect(lease.cursor()).toEqual({ runnerId: "rnr_1", frame: 0 });
    lease.advance(7);
    expect(new Lease(sql).cursor()).toEqual({ runnerId: "rnr_1", frame: 7 });
    expect(new Lease(sql).token()).toBe("gst_1");
  });

  it("moves to another runner: frames count from the beginning, and the old token is void", () => {
    const lease = new Lease(memoryDatabase().sql);
    lease.moveTo("rnr_1", "gst_1");
    lease.advance(7);
    const epoch = lease.nextEpoch();
    lease.moveTo("rnr_2", "gst_2");
    expect(lease.cursor()).toEqual({ runnerId: "rnr_2", frame: 0 });
    expect(lease.token()).toBe("gst_2");
    expect(lease.nextEpoch()).toBe(epoch + 1);
  });
});

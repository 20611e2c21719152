import { newId } from "@gantry/protocol/ids.ts";
import { describe, expect, it } from "vitest";
import { idempotencySpaceOf } from "./context.ts";

describe("sec/M9 idempotency keys", () => {
  const spaceOf = (keyId: string): string | null => idempotencySpaceOf({ account: "a", keyId, scopes: [] });

  it("belong to the API key that sends them", () => {
    const spaces = [newId("key"), newId("key"), newId("work"), "admin"].map(spaceOf);
    expect(new Set(spaces).size).toBe(4);
    expect(spaces).not.toContain(null);
  });

  it("do not exist for a session's token", () => {
    expect(spaceOf(newId("session"))).toBeNull();
  });

  it("of the installation's key are found after an upgrade", () => {
    expect(spaceOf("admin")).toBe("a");
  });
});

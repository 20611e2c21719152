import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { fence } from "./fence.ts";
import { ROOMS } from "./rooms.ts";

const roots: string[] = [];
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true });
});

/** What the fence says of a tree of these files, with the table of this repository. */
function findings(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), "fence-"));
  roots.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return fence(root, ROOMS).findings;
}

describe("the fence", () => {
  it("lets an import pass that the table allows", () => {
    const tree = {
      "worker/session/session.ts": `import { z } from "zod"; import { log } from "../base/log.ts"; z; log;`,
      "worker/base/log.ts": `import type { Event } from "@gantry/protocol/event.ts"; export const log = (_: Event) => {};`,
      "worker/base/log.test.ts": `import "node:fs"; import "../http/app.ts";`,
      "worker/http/app.ts": `import version from "../../package.json" with { type: "json" }; version;`,
      "protocol/event.ts": `export type Event = string;`,
      "runner/engine/agent.ts": `import "@anthropic-ai/claude-agent-sdk"; import "../host/host.ts";`,
      "runner/host/host.ts": `import type { Query } from "@anthropic-ai/claude-agent-sdk"; export type Q = Query;`,
      "runner/main.ts": `import "./engine/agent.ts";`,
    };
    expect(findings(tree)).toEqual([]);
  });

  it.each([
    ["a room above", "worker/storage/a.ts", `import "../session/b.ts";`, "imports worker/session/b.ts"],
    [
      "a type",
      "worker/storage/a.ts",
      `import type { B } from "../session/b.ts";`,
      "imports a type of worker/session/b",
    ],
    [
      "a type in place",
      "worker/storage/a.ts",
      `let b: import("../session/b.ts").B;`,
      "imports a type of worker/session/b",
    ],
    ["a re-export", "worker/storage/a.ts", `export * from "../session/b.ts";`, "imports worker/session/b.ts"],
    ["a late import", "worker/storage/a.ts", `await import("../session/b.ts");`, "imports worker/session/b.ts"],
    ["another package", "worker/session/a.ts", `import "@gantry/runner/main.ts";`, "imports runner/main.ts"],
    ["Node in workerd", "worker/session/a.ts", `import "node:fs";`, "imports node:fs: worker/session may"],
    ["HTTP in a session", "worker/session/a.ts", `import type { Context } from "hono";`, "imports a type of hono"],
    ["a package in the contract", "protocol/a.ts", `import "ws";`, "imports ws: protocol may import zod"],
    [
      "the engine",
      "runner/host/a.ts",
      `import { query } from "@anthropic-ai/claude-agent-sdk";`,
      "imports @anthropic-ai",
    ],
    ["a test helper", "router/a.ts", `import "./testing/b.ts";`, "only tests import"],
    ["a folder in no room", "worker/shed/a.ts", ``, "worker/shed/a.ts is in no room of worker/"],
  ])("stops %s", (_, path, text, finding) => {
    const found = findings({ [path]: text, "worker/session/b.ts": "export type B = 1;" });
    expect(found).toEqual([expect.stringContaining(finding)]);
  });

  it("says which import ties a circle of files, types included", () => {
    const tree = {
      "router/a.ts": `import { b } from "./b.ts"; b;`,
      "router/b.ts": `import type { C } from "./c.ts"; export const b: C = 1;`,
      "router/c.ts": `import "./a.ts"; export type C = number;`,
    };
    expect(findings(tree)).toEqual([
      [
        "A circle of 3 files:",
        "router/a.ts -> router/b.ts",
        "router/b.ts -> router/c.ts (types)",
        "router/c.ts -> router/a.ts",
      ].join("\n  "),
    ]);
  });

  it("says which imports tie a circle of folders; the root of a package is one", () => {
    const tree = {
      "router/a.ts": `import "./chat/b.ts";`,
      "router/chat/b.ts": ``,
      "router/chat/c.ts": `import "../d.ts";`,
      "router/d.ts": ``,
    };
    expect(findings(tree)).toEqual([
      [
        "A circle of 2 folders:",
        "router/ -> router/chat/: router/a.ts imports router/chat/b.ts",
        "router/chat/ -> router/: router/chat/c.ts imports router/d.ts",
      ].join("\n  "),
    ]);
  });

  it("counts the source files of a folder", () => {
    const tree = Object.fromEntries(Array.from({ length: 21 }, (_, at) => [`router/file-${at}.ts`, ""]));
    expect(findings(tree)).toEqual(["router/ has 21 source files beside each other, more than 20"]);
  });
});

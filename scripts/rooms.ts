/**
 * Who may import whom. `npm run check` holds every import against this table, types included (`check-imports.ts`).
 *
 * Left: a room, which is a folder with all that is in it; the longest match counts. A package that has rooms of its own may
 * have no folder outside them. The line of one file adds to the line of its room.
 * Right: the rooms, files and npm packages that a room may import besides itself. "type x" allows the types of x alone,
 * "*" everything. Data files (`.json`, `.yaml`) may be imported by all.
 */
export const ROOMS: Record<string, readonly string[]> = {
  // The contract, known everywhere.
  protocol: ["zod"],

  // Model calls: web-standard APIs only, so that it runs in workerd and alone. It shares the limits of JSON.
  router: ["protocol/json-limits.ts", "zod", "yaml", "eventsource-parser", "type openai", "type @anthropic-ai/sdk"],

  // The control plane, in workerd. Top to bottom: a room imports rooms below it.
  worker: ["*"],
  "worker/http": inWorker("*", "hono"),
  "worker/session": inWorker(
    "sandbox snapshots workspace resources catalog self-hosted triage models accounts storage base",
  ),
  // A fork copies a session's set-up: it knows the types of what it copies.
  "worker/workspace": inWorker(
    "snapshots sandbox storage base",
    "type worker/resources",
    "type worker/catalog",
    "diff",
    "@zip.js/zip.js",
  ),
  "worker/snapshots": inWorker("sandbox storage base"),
  "worker/resources": inWorker("catalog storage base"),
  "worker/self-hosted": inWorker("catalog accounts storage base"),
  "worker/sandbox": inWorker("models catalog storage base"),
  "worker/triage": inWorker("models base", "yaml"),
  "worker/catalog": inWorker("storage base"),
  "worker/models": inWorker("accounts base"),
  "worker/accounts": inWorker("storage base"),
  "worker/storage": inWorker("base"),
  "worker/base": inWorker(""),

  // The program in the sandbox.
  runner: ["protocol", "node:*", "zod", "ws", "@modelcontextprotocol/sdk", "type @anthropic-ai/claude-agent-sdk"],
  // The only file that talks to the engine.
  "runner/engine/agent.ts": ["@anthropic-ai/claude-agent-sdk"],

  // `npm start`: it reads the same configuration as the Worker.
  local: ["protocol", "router", "worker/triage/config.ts", "node:*", "miniflare", "workerd", "wrangler"],

  // Tests on the started product, measurements and tools.
  e2e: ["*"],
  bench: ["*"],
  examples: ["*"],
  scripts: ["*"],
};

/** `rooms` of `worker/`, separated by spaces, beside what every room of the Worker may import. */
function inWorker(rooms: string, ...packages: string[]): string[] {
  const named = rooms.split(" ").filter((room) => room !== "");
  return [
    "protocol",
    "router",
    "zod",
    "cloudflare:*",
    "type @anthropic-ai/sdk",
    ...named.map((room) => (room === "*" ? "worker" : `worker/${room}`)),
    ...packages,
  ];
}

/** Folders of tests and of what tests are made of: only tests import them, and the table does not bind them. */
export const TEST_FOLDERS = ["testing", "conformance"];

/** Packages whose folders may import each other in a circle: tests and measurements call each other's helpers. */
export const LOOSE = ["e2e", "bench", "examples", "scripts"];

/** The most source files beside each other in one folder, tests not counted. */
export const FILES_IN_A_FOLDER = 20;

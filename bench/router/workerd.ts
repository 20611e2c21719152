import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import workerd from "workerd";
import { ROOT } from "../kit/scope.ts";
import type { Scope } from "../kit/scope.ts";
import type { Gateway } from "./gateway.ts";

/** Workers in bare workerd: no wrangler, no Miniflare, whose proxies would cost more than what is measured. */

/** The least a Worker can cost: it passes the request on and the answer back, both unread. */
const PASS_THROUGH = `export default {
  fetch(request, env) {
    return fetch(env.UPSTREAM + new URL(request.url).pathname, request);
  },
};
`;

/** The least that reading an answer can cost: JavaScript is woken for each piece, and passes it on unread. */
const PIECE_BY_PIECE = `export default {
  async fetch(request, env) {
    const answer = await fetch(env.UPSTREAM + new URL(request.url).pathname, request);
    const reader = answer.body.getReader();
    const body = new ReadableStream({
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    });
    return new Response(body, { status: answer.status, headers: answer.headers });
  },
};
`;

const FLOORS = { passThrough: PASS_THROUGH, pieceByPiece: PIECE_BY_PIECE };

interface WorkerFiles {
  /** Holds `worker.js` and its text modules; the configuration is written next to them. */
  readonly folder: string;
  readonly bindings: Readonly<Record<string, string>>;
}

async function serve(scope: Scope, files: WorkerFiles): Promise<Gateway> {
  const texts = readdirSync(files.folder).filter((name) => name.endsWith(".yaml"));
  const bindings = Object.entries(files.bindings).map(
    ([name, text]) => `(name = ${JSON.stringify(name)}, text = ${JSON.stringify(text)})`,
  );
  const modules = [
    '(name = "worker.js", esModule = embed "worker.js")',
    ...texts.map((name) => `(name = ${JSON.stringify(name)}, text = embed ${JSON.stringify(name)})`),
  ];
  writeFileSync(
    join(files.folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [${modules.join(", ")}],
  compatibilityDate = "2026-10-15",
  compatibilityFlags = ["enable_request_signal"],
  bindings = [${bindings.join(", ")}],
);
`,
  );
  const child = scope.spawn(workerd.default, ["serve", "--control-fd=3", "config.capnp"], {
    cwd: files.folder,
    stdio: ["ignore", "ignore", "inherit", "pipe"],
  });
  const control = child.stdio[3] as Readable;
  const port = await new Promise<number>((resolve, reject) => {
    let text = "";
    control.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
      const listening = /"event":"listen".*?"port":(\d+)/.exec(text)?.[1];
      if (listening) resolve(Number(listening));
    });
    child.once("exit", (code) => reject(new Error(`workerd ended with ${code}`)));
  });
  return { url: `http://127.0.0.1:${port}`, child };
}

let folders = 0;
function newFolder(scope: Scope): string {
  const folder = join(scope.folder, `worker-${folders++}`);
  mkdirSync(folder);
  return folder;
}

export async function startFloor(scope: Scope, kind: keyof typeof FLOORS, upstream: string): Promise<Gateway> {
  const folder = newFolder(scope);
  writeFileSync(join(folder, "worker.js"), FLOORS[kind]);
  return serve(scope, { folder, bindings: { UPSTREAM: upstream } });
}

export const ROUTER_KEY = "gk_bench";

/** The router's own Worker, built as it is deployed, with these routes. */
export async function startRouter(scope: Scope, routes: string): Promise<Gateway> {
  const folder = newFolder(scope);
  await promisify(execFile)(
    process.execPath,
    [
      join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js"),
      "deploy",
      "--dry-run",
      `--config=${join(ROOT, "router", "wrangler.jsonc")}`,
      `--outdir=${folder}`,
    ],
    { cwd: ROOT, env: { ...process.env, WRANGLER_SEND_METRICS: "false" } },
  );
  return serve(scope, {
    folder,
    bindings: { GANTRY_API_KEY: ROUTER_KEY, BENCH_KEY: "sk-bench", LITELLM_CONFIG_TEXT: routes },
  });
}

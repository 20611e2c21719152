import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A real git server: `git http-backend` behind HTTP. Repositories named `private…` ask for a password. */
export interface GitServer {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** Requests that came: method, path, and whether they had the right password. */
  readonly requests: { readonly method: string; readonly path: string; readonly authorized: boolean }[];
  /** Password of repositories whose name begins with `private`, with any user name. */
  password: string;
  /** May answer instead of git, with a status or a redirect; null lets git answer. */
  intercept: (path: string) => { readonly status: number; readonly location?: string } | null;
  /** Makes a repository with these files, and returns its first commit. */
  make(name: string, files: Record<string, string>): string;
  /** Runs git commands in a working copy and pushes the result. Returns the output of the last command. */
  change(name: string, ...commands: string[][]): string;
  close(): Promise<void>;
}

const GIT_ENV = {
  PATH: process.env["PATH"] ?? "",
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_AUTHOR_NAME: "Test",
  GIT_AUTHOR_EMAIL: "test@example.com",
  GIT_COMMITTER_NAME: "Test",
  GIT_COMMITTER_EMAIL: "test@example.com",
};

export async function startGitServer(): Promise<GitServer> {
  const root = mkdtempSync(join(tmpdir(), "gantry-git-"));
  const git = (cwd: string, ...argv: string[]): string =>
    execFileSync("git", argv, { cwd, env: GIT_ENV, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  const server = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const gitServer: GitServer = {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    password: "right-password",
    intercept: () => null,
    make(name, files) {
      const work = join(root, "work", name);
      mkdirSync(work, { recursive: true });
      git(work, "init", "-q", "-b", "main");
      for (const [path, text] of Object.entries(files)) writeFileSync(join(work, path), text);
      git(work, "add", "-A");
      git(work, "commit", "-q", "-m", "first");
      git(root, "clone", "-q", "--bare", work, join(root, `${name}.git`));
      git(work, "remote", "add", "origin", join(root, `${name}.git`));
      return git(work, "rev-parse", "HEAD");
    },
    change(name, ...commands) {
      const work = join(root, "work", name);
      let said = "";
      for (const command of commands) said = git(work, ...command);
      git(work, "push", "-q", "--all", "origin");
      return said;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(root, { recursive: true, force: true });
    },
  };

  function answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://git");
    const given = Buffer.from((request.headers.authorization ?? "").replace(/^Basic /, ""), "base64").toString();
    const authorized = given.endsWith(`:${gitServer.password}`);
    gitServer.requests.push({ method: request.method ?? "", path: url.pathname, authorized });
    const instead = gitServer.intercept(url.pathname + url.search);
    if (instead) {
      response.writeHead(instead.status, instead.location ? { location: instead.location } : {}).end();
      return;
    }
    if (url.pathname.startsWith("/private") && !authorized) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
      return;
    }
    const child = spawn("git", ["http-backend"], {
      env: {
        ...GIT_ENV,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: "1",
        REQUEST_METHOD: request.method ?? "GET",
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        CONTENT_TYPE: request.headers["content-type"] ?? "",
        ...(request.headers["content-encoding"] === undefined
          ? {}
          : { HTTP_CONTENT_ENCODING: request.headers["content-encoding"] }),
        ...(typeof request.headers["git-protocol"] === "string"
          ? { GIT_PROTOCOL: request.headers["git-protocol"] }
          : {}),
      },
      stdio: ["pipe", "pipe", "ignore"],
    });
    request.pipe(child.stdin);
    child.stdin.on("error", () => {});
    let head: Buffer | null = Buffer.alloc(0);
    child.stdout.on("data", (chunk: Buffer) => {
      if (head === null) return void response.write(chunk);
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      const lines = head.subarray(0, end).toString().split("\r\n");
      const headers = Object.fromEntries(lines.map((line) => line.split(/:\s*/, 2) as [string, string]));
      const status = Number((headers["Status"] ?? "200").slice(0, 3));
      delete headers["Status"];
      response.writeHead(status, headers);
      response.write(head.subarray(end + 4));
      head = null;
    });
    child.once("close", () => response.end());
  }

  return gitServer;
}

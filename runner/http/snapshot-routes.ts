import type { IncomingMessage, ServerResponse } from "node:http";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { FRAME, FRAMES_TYPE, frameHeader, frameOf } from "@gantry/protocol/frames.ts";
import { parseJsonWithin } from "@gantry/protocol/json-limits.ts";
import { DoneRequest, ObjectsRequest, ScanRequest } from "@gantry/protocol/snapshot.ts";
import type { SnapshotRefusal } from "@gantry/protocol/snapshot.ts";
import { ZodError } from "zod";
import type { SessionHost } from "../host/session-host.ts";
import { Refused, codeOf } from "../snapshot/refused.ts";

const MAX_BODY_BYTES = 4 * 1024 * 1024;

const STATUS: Record<SnapshotRefusal["error"], number> = {
  busy: 409,
  changed: 409,
  no_folder: 404,
  unknown_scan: 404,
  too_large: 413,
  bad_restore: 400,
  failed: 500,
};

/** Matches `POST /sessions/{id}/snapshot...` and `/restore`. `rest` is the path after the session's id. */
export function matchSnapshotRoute(request: IncomingMessage): { sessionId: string; rest: string } | null {
  if (request.method !== "POST") return null;
  const match = /^\/sessions\/([^/]+)\/((?:snapshot|restore)(?:\/[\w-]+)*)$/.exec(request.url ?? "");
  return match?.[1] && match[2] ? { sessionId: match[1], rest: match[2] } : null;
}

/** Answers a session's requests to scan, read and restore its folder. The caller has checked the token. Never rejects. */
export async function answerSnapshots(
  request: IncomingMessage,
  response: ServerResponse,
  rest: string,
  runnerId: string,
  host: SessionHost,
): Promise<void> {
  const json = (status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  try {
    const [what, scan, step] = rest.split("/");
    if (rest === "snapshot") {
      const asked = ScanRequest.parse(await bodyOf(request));
      const scanned = { runnerId, ...(await host.files.saved.scan(asked)) };
      if (!asked.ahead) return json(200, scanned);
      response.writeHead(200, { "content-type": FRAMES_TYPE });
      const frames = [frameOf(FRAME.json, Buffer.from(JSON.stringify(scanned)))];
      for (const object of host.files.saved.ahead(scanned.scan)) frames.push(frameOf(FRAME.data, object));
      response.end(Buffer.concat(frames));
    } else if (rest === "restore") {
      json(200, { runnerId, ...(await host.restore(request)) });
    } else if (what === "snapshot" && scan && step === "done") {
      host.files.saved.done(scan, DoneRequest.parse(await bodyOf(request)).committed);
      json(200, {});
    } else if (what === "snapshot" && scan && step === "objects") {
      const { hashes } = ObjectsRequest.parse(await bodyOf(request));
      for (const [index, hash] of hashes.entries()) {
        const object = host.files.saved.object(scan, hash);
        if (index === 0) response.writeHead(200, { "content-type": FRAMES_TYPE });
        response.write(frameHeader(FRAME.data, object.length));
        if (!response.write(object)) await once(response, "drain");
        if (response.destroyed) return;
      }
      response.end();
    } else {
      json(404, { error: "failed", message: "There is no such route." });
    }
  } catch (error) {
    // Once the answer has begun, only closing the connection can show that it is incomplete.
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const code = error instanceof Refused ? error.code : "failed";
    const message = error instanceof ZodError ? (error.issues[0]?.message ?? "unreadable") : codeOf(error);
    json(STATUS[code], { error: code, message: (error instanceof Refused ? error.message : message).slice(0, 1000) });
  }
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > MAX_BODY_BYTES) throw new Refused("failed", "The body is too large.");
    pieces.push(piece);
  }
  return parseJsonWithin(Buffer.concat(pieces).toString("utf8"));
}

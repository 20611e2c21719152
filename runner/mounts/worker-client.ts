import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { RunStart } from "@gantry/protocol/link.ts";

/** Time limit for the upload of one file. */
const UPLOAD_MS = 120_000;

/** Reads and writes the session's files at the Worker, with the same token that its engine has. */
export class WorkerClient {
  readonly #models: RunStart["models"];

  constructor(models: RunStart["models"]) {
    this.#models = models;
  }

  /** Contents and media type of a file. Throws when it is not available or larger than `maxBytes`. */
  async read(fileId: string, maxBytes: number, signal: AbortSignal): Promise<{ bytes: Uint8Array; type: string }> {
    const response = await this.#open(fileId, signal);
    const length = Number(response.headers.get("content-length") ?? Infinity);
    if (length > maxBytes) {
      await response.body?.cancel();
      throw new Error(`the file is larger than ${maxBytes} bytes`);
    }
    return {
      bytes: new Uint8Array(await response.arrayBuffer()),
      type: response.headers.get("content-type") ?? "application/octet-stream",
    };
  }

  /** Downloads a file to a path that does not exist yet. Throws when it is not available. */
  async download(fileId: string, path: string, signal: AbortSignal): Promise<void> {
    const response = await this.#open(fileId, signal);
    if (!response.body) throw new Error("the file has no contents");
    await pipeline(Readable.fromWeb(response.body), createWriteStream(path, { flags: "wx", mode: 0o600 }), { signal });
  }

  /** Uploads a file that the agent made. Throws when the Worker refuses it. */
  async upload(name: string, contents: Readable): Promise<{ id: string; filename: string; size_bytes: number }> {
    const response = await fetch(`${this.#models.baseUrl}/sandbox/outputs?name=${encodeURIComponent(name)}`, {
      method: "POST",
      headers: { ...this.#authorization, "content-type": "application/octet-stream" },
      body: Readable.toWeb(contents),
      duplex: "half",
      // The run does not end before the upload does.
      signal: AbortSignal.timeout(UPLOAD_MS),
    });
    if (!response.ok) throw new Error(`${response.status} ${(await response.text()).slice(0, 300)}`);
    return (await response.json()) as { id: string; filename: string; size_bytes: number };
  }

  async #open(fileId: string, signal: AbortSignal): Promise<Response> {
    const url = `${this.#models.baseUrl}/sandbox/files/${encodeURIComponent(fileId)}`;
    const response = await fetch(url, { headers: this.#authorization, signal });
    if (response.ok) return response;
    await response.body?.cancel();
    throw new Error(response.status === 404 ? "the file no longer exists" : `the server answered ${response.status}`);
  }

  get #authorization(): Record<string, string> {
    return { authorization: `Bearer ${this.#models.token}` };
  }
}

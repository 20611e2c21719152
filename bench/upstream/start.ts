import { fileURLToPath } from "node:url";
import type { Scope } from "../kit/scope.ts";

/** The scripted provider, running. */
export interface Provider {
  /** `http://127.0.0.1:PORT`; how it answers is the first part of the path: `/short`, `/long`, `/slow`. */
  readonly url: string;
}

export async function startProvider(scope: Scope): Promise<Provider> {
  const child = scope.spawn(process.execPath, [fileURLToPath(new URL("./main.ts", import.meta.url))], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message: { port: number }) => resolve(message.port));
    child.once("exit", (code) => reject(new Error(`the scripted provider ended with ${code}`)));
  });
  return { url: `http://127.0.0.1:${port}` };
}

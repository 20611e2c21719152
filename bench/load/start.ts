import { fileURLToPath } from "node:url";
import type { Scope } from "../kit/scope.ts";
import type { Job, Outcome } from "./job.ts";

/** The load generator, running. */
export interface Load {
  /** One job at a time. */
  run(job: Job): Promise<Outcome>;
}

export async function startLoad(scope: Scope): Promise<Load> {
  const child = scope.spawn(process.execPath, [fileURLToPath(new URL("./main.ts", import.meta.url))], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const next = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const ended = (code: number | null): void => reject(new Error(`the load generator ended with ${code}`));
      child.once("exit", ended);
      child.once("message", (message) => {
        child.off("exit", ended);
        resolve(message);
      });
    });
  await next();
  return {
    run(job) {
      const outcome = next() as Promise<Outcome>;
      child.send(job);
      return outcome;
    },
  };
}

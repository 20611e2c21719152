import { buildWorker } from "../../local/build.ts";

/** Builds the Worker once, before the stories begin. */
export default async function setup(): Promise<void> {
  await buildWorker();
}

import { afterAll, beforeAll } from "vitest";
import { sessionStories } from "../stories/sessions.ts";
import { Cloud } from "./cloud.ts";

/** The stories of sessions, each session in a container of its own. */

let cloud: Cloud;
beforeAll(async () => {
  cloud = await Cloud.start();
});
afterAll(() => cloud.stop());

sessionStories({
  client: () => cloud,
  // Whatever is neither the runner nor an engine that rests.
  leftovers: async () => {
    const sessions = [...(await cloud.containers()).keys()];
    const counts = sessions.map(async (id) =>
      Number(await cloud.exec(id, "grep -slz '^GANTRY_SANDBOX=' /proc/[0-9]*/environ | wc -l; true").catch(() => "0")),
    );
    const engines = sessions.map(async (id) => Number(await cloud.exec(id, "pgrep -c claude; true").catch(() => "0")));
    const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
    return sum(await Promise.all(counts)) - sum(await Promise.all(engines));
  },
});

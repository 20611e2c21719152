import { hasDocker } from "../e2e/containers/cloud.ts";
import { containers } from "./containers/containers.ts";
import { circumstances, loadNow, publish, render } from "./kit/report.ts";
import type { Group } from "./kit/report.ts";
import { router } from "./router/router.ts";
import { scale } from "./scale/scale.ts";
import { endOnSignals } from "./kit/scope.ts";
import { sessions } from "./sessions/sessions.ts";
import { snapshots } from "./snapshots/snapshots.ts";
import { fanout } from "./streams/fanout.ts";
import { idle } from "./streams/idle.ts";

/** `npm run bench`, or `npm run bench -- sessions`: measures, prints one table per group, and writes it to the group's page. */

const GROUPS: readonly Group[] = [
  sessions,
  router,
  fanout,
  idle,
  scale,
  snapshots,
  ...(hasDocker() ? [containers] : []),
];

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !GROUPS.some((group) => group.name === name));
if (unknown.length > 0) {
  console.error(`There is no ${unknown.join(", ")}. Groups: ${GROUPS.map((group) => group.name).join(", ")}.`);
  process.exit(2);
}
endOnSignals();
for (const group of GROUPS.filter(({ name }) => asked.length === 0 || asked.includes(name))) {
  const loadBefore = loadNow();
  const table = await group.run((line) => console.error(`${group.name}: ${line}`));
  const text = `${circumstances(group.name, loadBefore)}\n\n${render(table)}`;
  console.log(`\n${text}\n`);
  publish(group, text);
}

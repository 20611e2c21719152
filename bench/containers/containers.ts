import { Cloud } from "../../e2e/containers/cloud.ts";
import { script } from "../../e2e/kit/client.ts";
import type { Line } from "../../e2e/kit/client.ts";
import type { Group } from "../kit/report.ts";
import { summarize, withSpread } from "../kit/statistics.ts";

/** How long a user waits for a container: its first start, later prompts, its stop, and a start with a restore. */

const ROUNDS = 5;
const WARM = 3;

/** A workspace to restore: forty files of 25 KB. */
const FILES = script(
  {
    tool: "Bash",
    input: {
      command: "for i in $(seq 40); do head -c 25000 /dev/urandom > file$i; done",
      description: "files",
    },
  },
  { text: "ok" },
);

export const containers: Group = {
  name: "containers",
  async run(say) {
    const cloud = await Cloud.start();
    const [cold, started, warm, stop, restored] = [[], [], [], [], []] as number[][] as [
      number[],
      number[],
      number[],
      number[],
      number[],
    ];
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const first = await cloud.run({ prompt: "What is 7 * 6?" });
        const { sessionId } = first;
        cold.push(firstText(first.lines));
        for (let each = 0; each < WARM; each++)
          warm.push(firstText((await cloud.run({ prompt: "What is 6 * 6?", sessionId })).lines));
        await cloud.run({ prompt: FILES, sessionId });
        await cloud.untilLog(
          sessionId,
          (log) =>
            log.findLastIndex((e) => e.type === "workspace.snapshot") >
            log.findLastIndex((e) => e.type === "run.ended"),
          "the files to be saved",
        );
        const stopAt = performance.now();
        await cloud.terminate(sessionId);
        stop.push(performance.now() - stopAt);
        restored.push(firstText((await cloud.run({ prompt: "What is 5 * 5?", sessionId })).lines));
        await cloud.fetch(`/v1/sessions/${sessionId}`, { method: "DELETE" });
        say(`round ${round + 1} of ${ROUNDS}`);
      }
      for (const line of cloud.logs().filter((text) => text.startsWith("{"))) {
        const entry = JSON.parse(line) as { event?: string; ms?: number };
        if (entry.event === "container_started" && entry.ms !== undefined) started.push(entry.ms);
      }
    } finally {
      await cloud.stop();
    }
    const row = (name: string, values: number[]): string[] => [
      name,
      String(values.length),
      withSpread(summarize(values)),
    ];
    return {
      columns: ["", "n", "ms"],
      rows: [
        row("cold: prompt of a new session → first text", cold),
        row("of each start: container started → its runner answers", started),
        row("warm: next prompt → first text", warm),
        row("stop: SIGTERM → container gone", stop),
        row("restore: prompt after a stop, 1 MB of files → first text", restored),
      ],
      notes: [
        "Medians, [least..90th percentile]. wrangler's local runtime with real Docker containers and the network sidecar beside each; the scripted model answers at once. The time Cloudflare takes to place a container and fetch its image is not included.",
        "Both starts include the start of an engine in the new container.",
      ],
    };
  },
};

function firstText(lines: readonly Line[]): number {
  const line = lines.find(({ type }) => type === "assistant");
  if (!line) throw new Error(`no text came: ${JSON.stringify(lines.at(-1))}`);
  return line.cameAtMs;
}

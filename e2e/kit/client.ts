import type { StoredEvent } from "@gantry/protocol/event.ts";

/** How long to wait for something that should happen soon. It is long because machines are shared. */
export const SOON_MS = 60_000;

/** CI sets `GANTRY_HEAVY_TESTS=1`, and then every variation of every story runs. */
const HEAVY = process.env["GANTRY_HEAVY_TESTS"] === "1";

/** All rows of a table in CI; elsewhere the first `few`, so that each story runs and `npm test` stays short. */
export function rows<T>(all: readonly T[], few: number): T[] {
  return all.slice(0, HEAVY ? all.length : few);
}

/** How many rounds or random cases to run: `all` in CI, `few` elsewhere. */
export function rounds(all: number, few: number): number {
  return HEAVY ? all : few;
}

/** A line of `POST /claude-code`, and when it came. */
export interface Line extends Record<string, unknown> {
  readonly type: string;
  /** Milliseconds since the request was sent; not part of what the server said. */
  readonly cameAtMs: number;
}

/** Client of a started product, wherever it runs. */
export abstract class Client {
  url = "";
  key = "";

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url + path, {
      ...init,
      headers: { authorization: `Bearer ${this.key}`, ...(init.headers as Record<string, string>) },
    });
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return this.fetch(path, { method: "POST", body: JSON.stringify(body), headers });
  }

  /** `POST /claude-code`, line by line as they come. */
  async *stream(body: Record<string, unknown>, headers: Record<string, string> = {}): AsyncGenerator<Line> {
    const sentAt = performance.now();
    const response = await this.post("/claude-code", body, headers);
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    let rest = "";
    for await (const text of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines)
        if (line !== "") yield { ...(JSON.parse(line) as Line), cameAtMs: performance.now() - sentAt };
    }
  }

  /** All lines of a prompt, and its last one. */
  async run(body: Record<string, unknown>): Promise<{ lines: Line[]; last: Line; sessionId: string; text: string }> {
    const lines: Line[] = [];
    for await (const line of this.stream(body)) lines.push(line);
    const last = lines.at(-1);
    if (!last) throw new Error("no line came");
    const text = lines
      .filter((line) => line.type === "assistant")
      .map((line) => String(line["content"]))
      .join("");
    return { lines, last, sessionId: String(last["sessionId"]), text };
  }

  /** The whole log of a session. */
  async log(sessionId: string): Promise<StoredEvent[]> {
    const events: StoredEvent[] = [];
    for (let after = "0"; ;) {
      const signal = AbortSignal.timeout(SOON_MS);
      const response = await this.fetch(`/v1/sessions/${sessionId}/events?after=${after}&limit=1000`, { signal });
      const page = (await response.json()) as { data: StoredEvent[]; next_page: string | null };
      events.push(...page.data);
      if (page.next_page === null) return events;
      after = page.next_page;
    }
  }

  /** Waits until the log of a session satisfies a condition. */
  async untilLog(
    sessionId: string,
    condition: (events: StoredEvent[]) => boolean,
    what: string,
  ): Promise<StoredEvent[]> {
    let events: StoredEvent[] = [];
    await until(async () => {
      events = await this.log(sessionId).catch(() => []);
      return condition(events);
    }, what);
    return events;
  }

  /** Runs a command in a session's workspace, and returns what it printed. */
  async shell(sessionId: string, command: string): Promise<string> {
    const { lines } = await this.run({
      prompt: script({ tool: "Bash", input: { command, description: "look" } }, { text: "done" }),
      sessionId,
    });
    return String(lines.find((line) => line.type === "tool_result")?.["result"]);
  }
}

/** Waits for a condition, for a minute. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + SOON_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited a minute for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The newest event about the session's status or a run. Events of saves are left out: they may come at any time. */
export function lastOf<T extends { readonly type: string }>(events: readonly T[]): T | undefined {
  return events.findLast((event) => !event.type.startsWith("workspace."));
}

/** A prompt that plays exactly these steps of the demonstration model. */
export function script(...steps: Record<string, unknown>[]): string {
  return `<<script${JSON.stringify(steps)}script>>`;
}

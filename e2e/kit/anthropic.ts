import Anthropic from "@anthropic-ai/sdk";
import { lastOf, until } from "./gantry.ts";
import type { Gantry } from "./gantry.ts";

/** Anthropic's own client for a started product. It does not retry, so that a test sees each failure. */
export function clientOf(gantry: Gantry, apiKey: string = gantry.key): Anthropic {
  return new Anthropic({ baseURL: gantry.url, apiKey, maxRetries: 0 });
}

/** All items of a list, page by page. */
export async function all<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of pages) items.push(item);
  return items;
}

export type SessionEvent = Anthropic.Beta.Sessions.BetaManagedAgentsSessionEvent;

/** All events of a session, read page by page. */
export function eventsOf(client: Anthropic, id: string): Promise<SessionEvent[]> {
  return all(client.beta.sessions.events.list(id, { limit: 7 }));
}

/** Waits until a session is idle for this reason, and returns its events. */
export async function untilIdle(client: Anthropic, id: string, reason = "end_turn"): Promise<SessionEvent[]> {
  let events: SessionEvent[] = [];
  await until(async () => {
    events = await eventsOf(client, id);
    const last = lastOf(events);
    return last?.type === "session.status_idle" && last.stop_reason.type === reason;
  }, `the session to be idle with ${reason}`);
  return events;
}

/** A prompt as an event. */
export const prompt = (text: string) => ({
  type: "user.message" as const,
  content: [{ type: "text" as const, text }],
});

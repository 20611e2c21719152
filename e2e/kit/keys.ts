import type { ApiKey } from "@gantry/protocol/api/keys.ts";
import { expect } from "vitest";
import type { Client } from "./client.ts";

/** A key made over the API. */
export async function makeKey(client: Client, body: Record<string, unknown>): Promise<ApiKey & { key: string }> {
  const response = await client.post("/v1/keys", { name: "test", ...body });
  expect(response.status).toBe(200);
  return (await response.json()) as ApiKey & { key: string };
}

/** Status and body of a request that is refused. */
export async function refused(
  client: Client,
  path: string,
  init: RequestInit = {},
): Promise<[number, { error: Record<string, unknown> }]> {
  const response = await client.fetch(path, init);
  return [response.status, (await response.json()) as { error: Record<string, unknown> }];
}

import { toFile } from "@anthropic-ai/sdk";
import { expect } from "vitest";
import { all } from "../kit/anthropic.ts";
import { NOBODY, makeSession, prompt, refused, unknown, untilIdle } from "./context.ts";
import type { Check, Context } from "./context.ts";

/** Resources of a session. */

const NO_RESOURCE = `sesrsc_${NOBODY}`;
const upload = async ({ client }: Context, text: string) =>
  client.beta.files.upload({ file: await toFile(Buffer.from(text), "in.txt") });

/** A session with a file, and that resource. */
async function withFile(context: Context) {
  const file = await upload(context, "from a file\n");
  const session = await makeSession(context.client, { resources: [{ type: "file", file_id: file.id }] });
  const [resource] = session.resources;
  if (resource?.type !== "file") throw new Error("the session has no resource");
  return { session_id: session.id, resource, file };
}

export const RESOURCES: Readonly<Record<string, Check>> = {
  "sessions.resources.add": async (context) => {
    const { client, stranger } = context;
    const file = await upload(context, "added\n");
    const session_id = (await makeSession(client)).id;
    const added = await client.beta.sessions.resources.add(session_id, {
      type: "file",
      file_id: file.id,
      mount_path: "/workspace/added.txt",
    });
    expect(added).toMatchObject({ type: "file", file_id: file.id, mount_path: "/workspace/added.txt" });
    await client.beta.sessions.events.send(session_id, {
      events: [prompt({ tool: "Bash", input: { command: "cat added.txt" } }, { text: "done" })],
    });
    const events = await untilIdle(client, session_id);
    expect(events.find((event) => event.type === "agent.tool_result")).toMatchObject({ content: [{ text: "added" }] });
    await unknown(() => stranger.beta.sessions.resources.add(session_id, { type: "file", file_id: file.id }));
    await unknown(() => client.beta.sessions.resources.add(session_id, { type: "file", file_id: `file_${NOBODY}` }));
  },
  "sessions.resources.retrieve": async (context) => {
    const { client, stranger } = context;
    const { session_id, resource } = await withFile(context);
    expect(await client.beta.sessions.resources.retrieve(resource.id, { session_id })).toEqual(resource);
    await unknown(
      () => client.beta.sessions.resources.retrieve(NO_RESOURCE, { session_id }),
      () => stranger.beta.sessions.resources.retrieve(resource.id, { session_id }),
    );
  },
  "sessions.resources.list": async (context) => {
    const { client, stranger } = context;
    const { session_id, resource, file } = await withFile(context);
    const more = { type: "file" as const, file_id: file.id };
    const second = await client.beta.sessions.resources.add(session_id, { ...more, mount_path: "/workspace/b" });
    const third = await client.beta.sessions.resources.add(session_id, { ...more, mount_path: "/workspace/c" });
    const listed = await all(client.beta.sessions.resources.list(session_id, { limit: 1 }));
    expect(listed).toHaveLength(3);
    expect(listed).toEqual(expect.arrayContaining([resource, second, third]));
    await unknown(
      () => client.beta.sessions.resources.list(`sesn_${NOBODY}`),
      () => stranger.beta.sessions.resources.list(session_id),
    );
  },
  "sessions.resources.update": async (context) => {
    const { client, stranger } = context;
    const url = "https://github.com/example/private";
    const session = await makeSession(client, {
      resources: [{ type: "github_repository", url, authorization_token: "old" }],
    });
    const [resource] = session.resources;
    const session_id = session.id;
    const id = resource && "id" in resource ? resource.id : "";
    // That the new one is used, and never shown, is in e2e/files/resources.test.ts.
    const changed = await client.beta.sessions.resources.update(id, { session_id, authorization_token: "newer" });
    expect(changed).toMatchObject({ id, type: "github_repository", url });
    expect(JSON.stringify(changed)).not.toContain("newer");
    await unknown(
      () => client.beta.sessions.resources.update(NO_RESOURCE, { session_id, authorization_token: "x" }),
      () => stranger.beta.sessions.resources.update(id, { session_id, authorization_token: "x" }),
    );
    const { session_id: other, resource: file } = await withFile(context);
    await refused(400, () =>
      client.beta.sessions.resources.update(file.id, { session_id: other, authorization_token: "x" }),
    );
  },
  "sessions.resources.delete": async (context) => {
    const { client, stranger } = context;
    const { session_id, resource } = await withFile(context);
    await unknown(() => stranger.beta.sessions.resources.delete(resource.id, { session_id }));
    expect(await client.beta.sessions.resources.delete(resource.id, { session_id })).toMatchObject({
      id: resource.id,
      type: "session_resource_deleted",
    });
    await unknown(
      () => client.beta.sessions.resources.retrieve(resource.id, { session_id }),
      () => client.beta.sessions.resources.delete(resource.id, { session_id }),
    );
    expect((await client.beta.sessions.retrieve(session_id)).resources).toEqual([]);
  },
};

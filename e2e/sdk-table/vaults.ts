import type Anthropic from "@anthropic-ai/sdk";
import { ConflictError } from "@anthropic-ai/sdk";
import { expect } from "vitest";
import { all } from "../kit/anthropic.ts";
import { NOBODY, makeSession, paged, refused, unknown } from "./context.ts";
import type { Check } from "./context.ts";

/** Vaults and their credentials. That they open MCP servers is in e2e/agents/vaults.test.ts. */

const NO_VAULT = `vlt_${NOBODY}`;
const NO_CREDENTIAL = `vcrd_${NOBODY}`;
const makeVault = (client: Anthropic) => client.beta.vaults.create({ display_name: "Mine", metadata: { a: "b" } });

let servers = 0;
async function withCredential(client: Anthropic) {
  const vault_id = (await makeVault(client)).id;
  const auth = {
    type: "static_bearer" as const,
    mcp_server_url: `https://mcp-${servers++}.example.com/mcp`,
    token: "very-secret",
  };
  return { vault_id, auth, credential: await client.beta.vaults.credentials.create(vault_id, { auth }) };
}

export const VAULTS: Readonly<Record<string, Check>> = {
  "vaults.create": async ({ client }) => {
    const vault = await makeVault(client);
    expect(vault).toMatchObject({ type: "vault", display_name: "Mine", metadata: { a: "b" }, archived_at: null });
    expect((await makeSession(client, { vault_ids: [vault.id] })).vault_ids).toEqual([vault.id]);
    await unknown(() => makeSession(client, { vault_ids: [NO_VAULT] }));
    await refused(400, () => client.beta.vaults.create({ display_name: "" }));
  },
  "vaults.retrieve": async ({ client, stranger }) => {
    const vault = await makeVault(client);
    expect(await client.beta.vaults.retrieve(vault.id)).toEqual(vault);
    await unknown(
      () => client.beta.vaults.retrieve(NO_VAULT),
      () => stranger.beta.vaults.retrieve(vault.id),
    );
  },
  "vaults.update": async ({ client, stranger }) => {
    const vault = await makeVault(client);
    const changed = await client.beta.vaults.update(vault.id, { display_name: "New", metadata: { a: null, c: "d" } });
    expect(changed).toMatchObject({ display_name: "New", metadata: { c: "d" } });
    await unknown(
      () => client.beta.vaults.update(NO_VAULT, {}),
      () => stranger.beta.vaults.update(vault.id, {}),
    );
  },
  "vaults.list": async ({ client, stranger }) => {
    const made = [await makeVault(client), await makeVault(client), await makeVault(client)];
    await paged(made, (limit) => client.beta.vaults.list({ limit }));
    await client.beta.vaults.archive(made[0]?.id ?? "");
    const ids = async (params: object) => (await all(client.beta.vaults.list(params))).map(({ id }) => id);
    expect(await ids({})).not.toContain(made[0]?.id);
    expect(await ids({ include_archived: true })).toContain(made[0]?.id);
    expect(await all(stranger.beta.vaults.list())).toEqual([]);
  },
  "vaults.delete": async ({ client, stranger }) => {
    const { vault_id, credential } = await withCredential(client);
    await unknown(() => stranger.beta.vaults.delete(vault_id));
    expect(await client.beta.vaults.delete(vault_id)).toEqual({ id: vault_id, type: "vault_deleted" });
    await unknown(
      () => client.beta.vaults.retrieve(vault_id),
      () => client.beta.vaults.credentials.retrieve(credential.id, { vault_id }),
    );
  },
  "vaults.archive": async ({ client, stranger }) => {
    const { vault_id, credential } = await withCredential(client);
    await unknown(
      () => client.beta.vaults.archive(NO_VAULT),
      () => stranger.beta.vaults.archive(vault_id),
    );
    expect((await client.beta.vaults.archive(vault_id)).archived_at).not.toBeNull();
    const archived = await client.beta.vaults.credentials.retrieve(credential.id, { vault_id });
    expect(archived.archived_at).not.toBeNull();
    await refused(400, () => makeSession(client, { vault_ids: [vault_id] }));
  },
  "vaults.credentials.create": async ({ client, stranger }) => {
    const { vault_id, credential, auth } = await withCredential(client);
    expect(credential).toMatchObject({
      type: "vault_credential",
      vault_id,
      auth: { type: "static_bearer", mcp_server_url: auth.mcp_server_url },
    });
    expect(JSON.stringify(credential)).not.toContain(auth.token);
    await expect(client.beta.vaults.credentials.create(vault_id, { auth })).rejects.toBeInstanceOf(ConflictError);
    await unknown(
      () => client.beta.vaults.credentials.create(NO_VAULT, { auth }),
      () => stranger.beta.vaults.credentials.create(vault_id, { auth }),
    );
    await refused(400, () =>
      client.beta.vaults.credentials.create(vault_id, {
        auth: {
          type: "environment_variable",
          secret_name: "X",
          secret_value: "y",
          networking: { type: "unrestricted" },
        },
      }),
    );
    return "credentials for MCP servers: `static_bearer`, and `mcp_oauth` without `refresh`; others are refused by name";
  },
  "vaults.credentials.retrieve": async ({ client, stranger }) => {
    const { vault_id, credential } = await withCredential(client);
    expect(await client.beta.vaults.credentials.retrieve(credential.id, { vault_id })).toEqual(credential);
    await unknown(
      () => client.beta.vaults.credentials.retrieve(NO_CREDENTIAL, { vault_id }),
      () => stranger.beta.vaults.credentials.retrieve(credential.id, { vault_id }),
    );
  },
  "vaults.credentials.update": async ({ client, stranger }) => {
    const { vault_id, credential } = await withCredential(client);
    const changed = await client.beta.vaults.credentials.update(credential.id, {
      vault_id,
      display_name: "New",
      auth: { type: "static_bearer", token: "another-secret" },
    });
    expect(changed).toMatchObject({ display_name: "New", auth: credential.auth });
    expect(JSON.stringify(changed)).not.toContain("another-secret");
    await refused(400, () =>
      client.beta.vaults.credentials.update(credential.id, {
        vault_id,
        auth: { type: "mcp_oauth", access_token: "x" },
      }),
    );
    await unknown(
      () => client.beta.vaults.credentials.update(NO_CREDENTIAL, { vault_id }),
      () => stranger.beta.vaults.credentials.update(credential.id, { vault_id }),
    );
  },
  "vaults.credentials.list": async ({ client, stranger }) => {
    const { vault_id, credential } = await withCredential(client);
    const made = [credential];
    for (const name of ["b", "c"])
      made.push(
        await client.beta.vaults.credentials.create(vault_id, {
          auth: { type: "static_bearer", mcp_server_url: `https://${name}.example.com`, token: "very-secret" },
        }),
      );
    const listed = await all(client.beta.vaults.credentials.list(vault_id, { limit: 2 }));
    expect(listed).toEqual(made.toReversed());
    await client.beta.vaults.credentials.archive(credential.id, { vault_id });
    expect(await all(client.beta.vaults.credentials.list(vault_id))).toHaveLength(2);
    expect(await all(client.beta.vaults.credentials.list(vault_id, { include_archived: true }))).toHaveLength(3);
    await unknown(
      () => client.beta.vaults.credentials.list(NO_VAULT),
      () => stranger.beta.vaults.credentials.list(vault_id),
    );
  },
  "vaults.credentials.delete": async ({ client, stranger }) => {
    const { vault_id, credential } = await withCredential(client);
    await unknown(() => stranger.beta.vaults.credentials.delete(credential.id, { vault_id }));
    expect(await client.beta.vaults.credentials.delete(credential.id, { vault_id })).toEqual({
      id: credential.id,
      type: "vault_credential_deleted",
    });
    await unknown(() => client.beta.vaults.credentials.delete(credential.id, { vault_id }));
  },
  "vaults.credentials.archive": async ({ client, stranger }) => {
    const { vault_id, credential } = await withCredential(client);
    await unknown(
      () => client.beta.vaults.credentials.archive(NO_CREDENTIAL, { vault_id }),
      () => stranger.beta.vaults.credentials.archive(credential.id, { vault_id }),
    );
    const archived = await client.beta.vaults.credentials.archive(credential.id, { vault_id });
    expect(archived.archived_at).not.toBeNull();
    await refused(400, () => client.beta.vaults.credentials.update(credential.id, { vault_id, display_name: "x" }));
  },
  "vaults.credentials.mcpOAuthValidate": async ({ client, stranger }) => {
    const vault_id = (await makeVault(client)).id;
    // Nobody is there: what a server that answers makes of it is in e2e/agents/vaults.test.ts.
    const auth = {
      type: "mcp_oauth" as const,
      mcp_server_url: "https://nobody.invalid/mcp",
      access_token: "very-secret",
    };
    const credential = await client.beta.vaults.credentials.create(vault_id, { auth });
    const told = await client.beta.vaults.credentials.mcpOAuthValidate(credential.id, { vault_id });
    expect(told).toMatchObject({ status: "unknown", credential_id: credential.id, has_refresh_token: false });
    await unknown(
      () => client.beta.vaults.credentials.mcpOAuthValidate(NO_CREDENTIAL, { vault_id }),
      () => stranger.beta.vaults.credentials.mcpOAuthValidate(credential.id, { vault_id }),
    );
  },
};

import type Anthropic from "@anthropic-ai/sdk";
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientOf } from "../kit/anthropic.ts";
import { Gantry, script, until } from "../kit/gantry.ts";
import { openShop } from "../kit/mcp-shop.ts";
import type { Shop } from "../kit/mcp-shop.ts";

/** Credentials of a vault open an agent's MCP servers, and only those servers see them. */

let gantry: Gantry;
let client: Anthropic;
let shop: Shop;
let token = "right-token-1";
const asked: { path: string | undefined; authorization: string | undefined }[] = [];

beforeAll(async () => {
  shop = await openShop((request, response) => {
    asked.push({ path: request.url, authorization: request.headers.authorization });
    if (request.url === "/away") response.writeHead(302, { location: "https://example.com/mcp" }).end();
    else if (request.headers.authorization !== `Bearer ${token}`) response.writeHead(401).end("no");
    return response.writableEnded;
  });
  gantry = await Gantry.start({ GANTRY_TRUSTED_MCP_HOSTS: shop.host });
  client = clientOf(gantry);
});
afterAll(async () => {
  await gantry.remove();
  shop.close();
});

/** A session whose agent asks the shop for a price. */
async function askPrice(vault_ids: string[], path = "/mcp"): Promise<{ id: string; events: object[] }> {
  const agent = await client.beta.agents.create({
    name: "Buyer",
    model: "demo/scripted",
    mcp_servers: [{ type: "url", name: "shop", url: `http://${shop.host}${path}` }],
    tools: [
      {
        type: "mcp_toolset",
        mcp_server_name: "shop",
        default_config: { permission_policy: { type: "always_allow" } },
      },
    ],
  });
  const text = script({ tool: "mcp__shop__price", input: { item: "apple" } }, { text: "done" });
  const session = await client.beta.sessions.create({
    agent: agent.id,
    environment_id: (await client.beta.environments.create({ name: "here" })).id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text }] }],
    vault_ids,
  });
  expect(session.vault_ids).toEqual(vault_ids);
  const events = await gantry.untilLog(session.id, (log) => log.some((e) => e.type === "run.ended"), "the run to end");
  return { id: session.id, events };
}

async function vaultWith(secret: string, path = "/mcp") {
  const vault = await client.beta.vaults.create({ display_name: "Shop" });
  const credential = await client.beta.vaults.credentials.create(vault.id, {
    auth: { type: "static_bearer", mcp_server_url: `http://${shop.host}${path}`, token: secret },
  });
  return { vault, credential };
}

describe("a credential", () => {
  it("opens the MCP server it is for, and is nowhere else", async () => {
    const { vault, credential } = await vaultWith(token);
    expect(JSON.stringify(credential)).not.toContain(token);
    const { events } = await askPrice([vault.id]);
    expect(JSON.stringify(events)).toContain("apple: 3");
    expect(asked).toContainEqual({ path: "/mcp", authorization: `Bearer ${token}` });
    const everything = [JSON.stringify(events), gantry.output];
    for (const text of everything) expect(text).not.toContain(token);
    const grep = execFileSync("sh", ["-c", `grep -rlaF ${token} ${gantry.state} || true`], { encoding: "utf8" });
    expect(grep).toBe("");
  });

  it("is used as it is now, also by sessions that began before", async () => {
    const { vault, credential } = await vaultWith("wrong-token");
    const { events } = await askPrice([vault.id]);
    expect(JSON.stringify(events)).not.toContain("apple: 3");
    await client.beta.vaults.credentials.update(credential.id, {
      vault_id: vault.id,
      auth: { type: "static_bearer", token },
    });
    expect(JSON.stringify((await askPrice([vault.id])).events)).toContain("apple: 3");
  });

  it("is gone when it is archived, deleted, or its vault is", async () => {
    const archived = await vaultWith(token);
    await client.beta.vaults.credentials.archive(archived.credential.id, { vault_id: archived.vault.id });
    const deleted = await vaultWith(token);
    await client.beta.vaults.credentials.delete(deleted.credential.id, { vault_id: deleted.vault.id });
    const { events } = await askPrice([archived.vault.id, deleted.vault.id]);
    expect(JSON.stringify(events)).not.toContain("apple: 3");
    const gone = await vaultWith(token);
    await client.beta.vaults.archive(gone.vault.id);
    await expect(askPrice([gone.vault.id])).rejects.toMatchObject({ status: 400 });
  });

  it("does not follow a server that redirects, nor goes to another", async () => {
    const { vault } = await vaultWith(token, "/away");
    expect(JSON.stringify((await askPrice([vault.id], "/away")).events)).not.toContain("apple: 3");
    const other = (): typeof asked => asked.filter(({ path }) => path === "/mcp");
    const before = other().length;
    await askPrice([vault.id], "/mcp");
    await until(() => other().length > before, "the server to be asked");
    expect(
      new Set(
        other()
          .slice(before)
          .map(({ authorization }) => authorization),
      ),
    ).toEqual(new Set([undefined]));
  });

  it("opens nothing for an API key, for another session's token or at another address", async () => {
    const { vault } = await vaultWith(token);
    const { id } = await askPrice([vault.id]);
    const post = (path: string, authorization: string) =>
      fetch(`${gantry.url}${path}`, { method: "POST", headers: { authorization }, body: "{}" });
    expect((await post("/sandbox/mcp/0", `Bearer ${gantry.key}`)).status).toBe(401);
    expect((await post("/sandbox/mcp/0", `Bearer gst_${id}.${"0".repeat(36)}`)).status).toBe(401);
  });
});

describe("validation", () => {
  it("asks the server", async () => {
    const vault = await client.beta.vaults.create({ display_name: "OAuth" });
    const auth = { type: "mcp_oauth" as const, mcp_server_url: `http://${shop.host}/mcp`, access_token: token };
    const credential = await client.beta.vaults.credentials.create(vault.id, { auth });
    const validate = () => client.beta.vaults.credentials.mcpOAuthValidate(credential.id, { vault_id: vault.id });
    expect(await validate()).toMatchObject({ status: "valid", mcp_probe: null, credential_id: credential.id });
    token = "right-token-2";
    expect(await validate()).toMatchObject({
      status: "invalid",
      mcp_probe: { method: "initialize", http_response: { status_code: 401 } },
    });
  });
});

import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import { describe, expect, it } from "vitest";
import { CLOSED, egressRules, mayLeave } from "./egress-rules.ts";

type Networking = Extract<BetaEnvironment["config"], { type: "cloud" }>["networking"];

const cloud = (networking: Networking): BetaEnvironment["config"] => ({
  type: "cloud",
  networking,
  packages: { type: "packages", apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] },
});
const limited = (changes: Partial<Extract<Networking, { type: "limited" }>> = {}): BetaEnvironment["config"] =>
  cloud({
    type: "limited",
    allow_mcp_servers: false,
    allow_package_managers: false,
    allowed_hosts: ["api.example.com", "*.example.org", "odd.example.net:8443"],
    ...changes,
  });
const MCP = ["https://mcp.example.com/sse"];

describe("what may leave a sandbox", () => {
  it.each<[name: string, config: BetaEnvironment["config"] | null, url: string, may: boolean]>([
    ["a session without an environment", null, "https://api.example.com/", false],
    ["a self-hosted environment", { type: "self_hosted" }, "https://api.example.com/", false],
    ["a listed name", limited(), "https://api.example.com/x", true],
    ["the same without TLS", limited(), "http://api.example.com/x", true],
    ["the same in capitals", limited(), "https://API.Example.com/x", true],
    ["the same on another port", limited(), "https://api.example.com:8443/x", false],
    ["a subdomain of it", limited(), "https://evil.api.example.com/", false],
    ["a name that ends like it", limited(), "https://evilapi.example.com/", false],
    ["a name that begins like it", limited(), "https://api.example.com.evil.net/", false],
    ["a subdomain of a wildcard", limited(), "https://a.b.example.org/", true],
    ["the wildcard's own name", limited(), "https://example.org/", false],
    ["a name that only ends like a wildcard", limited(), "https://evilexample.org/", false],
    ["a name with its port", limited(), "https://odd.example.net:8443/", true],
    ["a name without its port", limited(), "https://odd.example.net/", false],
    ["a registry, not allowed", limited(), "https://registry.npmjs.org/", false],
    ["a registry", limited({ allow_package_managers: true }), "https://registry.npmjs.org/", true],
    ["an MCP server, not allowed", limited(), "https://mcp.example.com/sse", false],
    ["an MCP server", limited({ allow_mcp_servers: true }), "https://mcp.example.com/other", true],
    ["an unrestricted environment", cloud({ type: "unrestricted" }), "https://anything.example.net/", true],
    ["an address, unrestricted", cloud({ type: "unrestricted" }), "http://10.0.0.1/", false],
    ["an address in another notation, unrestricted", cloud({ type: "unrestricted" }), "http://0x7f.1/", false],
    ["an IPv6 address, unrestricted", cloud({ type: "unrestricted" }), "http://[::1]/", false],
    ["a name without a dot, unrestricted", cloud({ type: "unrestricted" }), "http://localhost/", false],
    ["an internal name, unrestricted", cloud({ type: "unrestricted" }), "http://metadata.google.internal/", false],
    ["an internal name with a final dot, unrestricted", cloud({ type: "unrestricted" }), "http://db.internal./", false],
    ["a listed address", limited({ allowed_hosts: ["10.0.0.1"] }), "http://10.0.0.1/", false],
  ])("%s", (_name, config, url, may) => {
    expect(mayLeave(egressRules(config, MCP), new URL(url))).toBe(may);
  });

  it("is nothing by default", () => expect(CLOSED).toEqual({ unrestricted: false, hosts: [] }));
});

import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";

/** What a sandbox may reach, according to the session's environment. */
export interface EgressRules {
  /** Any public host may be reached, by HTTP and HTTPS. */
  readonly unrestricted: boolean;
  /** Host names; `*.` stands for all subdomains; a port only if it is not the usual one. */
  readonly hosts: readonly string[];
}

/** Rules of a session without an environment: it reaches nothing but its models. */
export const CLOSED: EgressRules = { unrestricted: false, hosts: [] };

/** Hosts of package managers: npm, PyPI, crates.io, RubyGems, Go, Debian. */
const PACKAGE_HOSTS = [
  "registry.npmjs.org",
  "registry.yarnpkg.com",
  "pypi.org",
  "files.pythonhosted.org",
  "crates.io",
  "index.crates.io",
  "static.crates.io",
  "rubygems.org",
  "*.rubygems.org",
  "proxy.golang.org",
  "sum.golang.org",
  "storage.googleapis.com",
  "deb.debian.org",
  "security.debian.org",
];

/** Rules of an environment; null: there is none, or it was deleted. `mcpUrls` are the agent's MCP servers. */
export function egressRules(config: BetaEnvironment["config"] | null, mcpUrls: readonly string[]): EgressRules {
  if (config?.type !== "cloud") return CLOSED;
  const { networking } = config;
  if (networking.type === "unrestricted") return { unrestricted: true, hosts: [] };
  return {
    unrestricted: false,
    hosts: [
      ...networking.allowed_hosts,
      ...(networking.allow_package_managers ? PACKAGE_HOSTS : []),
      ...(networking.allow_mcp_servers ? mcpUrls.map((url) => new URL(url).host) : []),
    ],
  };
}

/** Whether a request may leave the sandbox. Only named public hosts can be reached, whatever the rules allow. */
export function mayLeave(rules: EgressRules, url: URL): boolean {
  const name = url.hostname.toLowerCase().replace(/\.$/, "");
  if (isInside(name)) return false;
  if (rules.unrestricted) return true;
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return rules.hosts.some((rule) => {
    const [host = "", wanted] = rule.toLowerCase().split(":");
    if (wanted === undefined ? url.port !== "" : wanted !== port) return false;
    return host.startsWith("*.") ? name.endsWith(host.slice(1)) : name === host;
  });
}

/** Whether a host is not a public name: it has no dot, belongs to an internal network, or is an address. */
function isInside(name: string): boolean {
  return (
    !name.includes(".") ||
    /^\d{1,3}(\.\d{1,3}){3}$/.test(name) ||
    name.startsWith("[") ||
    /\.(internal|local|localhost|localdomain|home\.arpa)$/.test(name)
  );
}

/** Identifies the sender of outbound requests. Set when the container starts; programs in it cannot change it. */
export interface EgressProps {
  readonly sessionId: string;
  readonly startId: string;
  readonly rules: EgressRules;
}

import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";

/** What may be reached out of a sandbox, as the session's environment says. */
export interface EgressRules {
  /** Any public host, by HTTP and HTTPS. */
  readonly unrestricted: boolean;
  /** Names, with `*.` for all below, and a port where it is not the usual one. */
  readonly hosts: readonly string[];
}

/** A session without an environment reaches nothing but its models. */
export const CLOSED: EgressRules = { unrestricted: false, hosts: [] };

/** Where package managers fetch from: npm, PyPI, crates.io, RubyGems, Go, Debian. */
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

/** Rules of an environment (null: none, or one that is gone). `mcpUrls` are the agent's servers. */
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

/** Whether a request may leave. Addresses and names that are no public host never may, whatever the rules say. */
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

/** Names without a dot, names of inner networks, and addresses: what is public has a name. */
function isInside(name: string): boolean {
  return (
    !name.includes(".") ||
    /^\d{1,3}(\.\d{1,3}){3}$/.test(name) ||
    name.startsWith("[") ||
    /\.(internal|local|localhost|localdomain|home\.arpa)$/.test(name)
  );
}

/** Who sends: set where the container is started, out of reach of what runs in it. */
export interface EgressProps {
  readonly sessionId: string;
  readonly startId: string;
  readonly rules: EgressRules;
}

import { readFileSync } from "node:fs";
import { rootCertificates } from "node:tls";

/** A network binding of the local runtime. */
interface Net {
  readonly network: {
    allow: string[];
    deny: string[];
    tlsOptions: { trustBrowserCas: boolean; trustedCertificates?: string[] };
  };
}

/**
 * The network for addresses that users name (repositories). It reaches public addresses only, and checks that when it
 * connects. Without it the runtime could reach everything that this machine can.
 */
export const PUBLIC_NET: Net = {
  network: { allow: ["public"], deny: [], tlsOptions: { trustBrowserCas: true } },
};

/**
 * The network for addresses that the operator names (providers, the runner). It reaches and trusts what the global `fetch`
 * does, without the extra Worker that Miniflare puts in front of `fetch`.
 */
export function directNet(extraCaFile = process.env["NODE_EXTRA_CA_CERTS"]): Net {
  const trustedCertificates = [
    ...(process.platform === "win32" ? rootCertificates : []),
    ...certificatesIn(extraCaFile),
  ];
  return {
    network: {
      allow: ["public", "private", "240.0.0.0/4"],
      deny: [],
      tlsOptions: { trustBrowserCas: true, trustedCertificates },
    },
  };
}

/** The certificates in a file. As in Node, a file that cannot be read counts as empty. */
function certificatesIn(file: string | undefined): string[] {
  if (!file) return [];
  try {
    return readFileSync(file, "utf8").match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  } catch {
    return [];
  }
}

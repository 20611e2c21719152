import { readFileSync } from "node:fs";
import { rootCertificates } from "node:tls";

/** A binding of the local runtime that reaches a network. */
interface Net {
  readonly network: {
    allow: string[];
    deny: string[];
    tlsOptions: { trustBrowserCas: boolean; trustedCertificates?: string[] };
  };
}

/**
 * The way out for addresses that users name (repositories): public ones alone, judged when the connection is made. By
 * itself the runtime reaches everything that this machine does.
 */
export const PUBLIC_NET: Net = {
  network: { allow: ["public"], deny: [], tlsOptions: { trustBrowserCas: true } },
};

/**
 * The way out for addresses that whoever runs this names (providers, the runner): what the global `fetch` reaches, and
 * who it trusts, without the Worker that Miniflare puts in the way of that.
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

/** As Node does, a file that cannot be read counts as none. */
function certificatesIn(file: string | undefined): string[] {
  if (!file) return [];
  try {
    return readFileSync(file, "utf8").match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  } catch {
    return [];
  }
}

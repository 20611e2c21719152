/**
 * A repository's address, checked before any request goes there: `https`, a public host name, no credential in it.
 * This check sees only the text. Names that resolve to private addresses are blocked where the connection is made
 * (`PUBLIC_NET`, and Cloudflare's own network).
 */
export type CheckedUrl = { readonly ok: true; readonly url: string } | { readonly ok: false; readonly reason: string };

/** Endings of host names that are never public. */
const PRIVATE_NAMES =
  /(^|\.)(localhost|local|internal|intranet|private|corp|home|lan|localdomain|arpa|onion|test|invalid)$/;

/**
 * Checks the address of a repository. Never throws.
 * @param allowed private hosts (with port) that the operator trusts; these may use `http` too.
 * @returns the address as the engine's git sees it, without a slash at the end.
 */
export function checkRepositoryUrl(text: string, allowed: readonly string[]): CheckedUrl {
  if (!URL.canParse(text)) return refused("is not a URL");
  const url = new URL(text);
  if (url.username !== "" || url.password !== "")
    return refused("must not hold a credential; send it as authorization_token");
  if (url.search !== "" || url.hash !== "") return refused("must not have a query or a fragment");
  if (/[\p{Cc}\s\\'"`$<>|;]/u.test(text) || text.includes("%00")) return refused("must not hold such characters");
  const trusted = allowed.includes(url.host);
  if (url.protocol !== "https:" && !(trusted && url.protocol === "http:")) return refused("must begin with https://");
  if (!trusted) {
    const host = url.hostname.replace(/\.$/, "").toLowerCase();
    if (url.port !== "") return refused("must not name a port");
    if (host.includes(":") || host.startsWith("[") || /^[\d.]+$/.test(host))
      return refused("must name its host, not an address");
    if (!host.includes(".") || PRIVATE_NAMES.test(host)) return refused("must name a public host");
  }
  const path = url.pathname.replace(/\/+$/, "");
  if (path === "" || repositoryName(path) === null) return refused("must end with the name of a repository");
  return { ok: true, url: `${url.origin}${path}` };
}

/** A repository's name: the last part of its address, without `.git`. Null when no folder can have that name. */
export function repositoryName(url: string): string | null {
  const name = (url.split("/").at(-1) ?? "").replace(/\.git$/i, "");
  return /^[\w][\w.-]{0,99}$/.test(name) ? name : null;
}

function refused(reason: string): CheckedUrl {
  return { ok: false, reason };
}

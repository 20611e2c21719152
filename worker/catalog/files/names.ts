import { RequestRefused } from "@gantry/protocol/error.ts";

/** Extension and type, for uploads that give only one of them. */
const TYPES: Record<string, string> = {
  txt: "text/plain",
  md: "text/markdown",
  csv: "text/csv",
  html: "text/html",
  json: "application/json",
  xml: "application/xml",
  yaml: "application/yaml",
  pdf: "application/pdf",
  zip: "application/zip",
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  svg: "image/svg+xml",
};

const UNKNOWN_TYPE = "application/octet-stream";

/** The type that was sent, if it is valid; otherwise that of the name's extension. Keeps no parameter but a charset. */
export function mimeTypeOf(sent: string | null, filename: string | null): string {
  const type = /^([\w.+-]+\/[\w.+-]+)\s*(;\s*charset=[\w-]+)?/i.exec(sent ?? "");
  const extension = /\.([a-z0-9]+)$/i.exec(filename ?? "")?.[1]?.toLowerCase() ?? "";
  const byName = Object.hasOwn(TYPES, extension) ? TYPES[extension] : undefined;
  if (type?.[1] === undefined || type[1] === UNKNOWN_TYPE) return byName ?? UNKNOWN_TYPE;
  return type[1].toLowerCase() + (type[2]?.toLowerCase().replaceAll(/\s/g, "") ?? "");
}

/**
 * The name under which a file is kept: the last part of the path sent, without control characters. Throws
 * `RequestRefused` for more than 255 bytes, because sessions write files under these names.
 */
export function filenameOf(sent: string | null, mimeType: string): string {
  const last = (sent ?? "").split(/[/\\]/).at(-1) ?? "";
  const name = last
    .replaceAll(/\p{Cc}/gu, "")
    .toWellFormed()
    .trim();
  if (name === "" || name === "." || name === "..") {
    const plain = mimeType.split(";")[0];
    const extension = Object.entries(TYPES).find(([, type]) => type === plain)?.[0];
    return extension === undefined ? "unnamed" : `unnamed.${extension}`;
  }
  if (new TextEncoder().encode(name).byteLength > 255)
    throw new RequestRefused({ code: "invalid_request", field: "file", reason: "its name is longer than 255 bytes" });
  return name;
}

/** The `content-disposition` of a download: browsers never show it as a page of this server. */
export function attachment(filename: string): string {
  const plain = filename.replaceAll(/[^\x20-\x7e]|["\\%]/g, "_");
  const full = encodeURIComponent(filename).replaceAll(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
  return `attachment; filename="${plain}"; filename*=UTF-8''${full}`;
}

/** Whether a condition header holds. `must`: it has to name the tag (`If-Match`); otherwise it must not (`If-None-Match`). */
export function agrees(header: string | undefined, etag: string | null, must: boolean): boolean {
  return header === undefined || (etag !== null && names(header, etag)) === must;
}

/** Whether a list of tags contains this tag, or is `*`. */
export function names(header: string, etag: string): boolean {
  return header.split(",").some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")));
}

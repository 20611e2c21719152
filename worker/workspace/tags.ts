/** Whether a condition header holds: it names the tag (or any), as it must (or must not). */
export function agrees(header: string | undefined, etag: string | null, must: boolean): boolean {
  return header === undefined || (etag !== null && names(header, etag)) === must;
}

/** Whether a list of tags has this one, or stands for all. */
export function names(header: string, etag: string): boolean {
  return header.split(",").some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")));
}

import type { SessionError } from "@gantry/protocol/run-end.ts";
import type { z } from "zod";

/** Something that a run needs could not be put in its place; the run does not begin. */
export class ResourceUnavailable extends Error {
  readonly error: z.infer<typeof SessionError>;

  constructor(
    type: z.infer<typeof SessionError>["type"],
    message: string,
    about: { resource_id?: string; repository_url?: string },
  ) {
    super(message);
    this.error = { type, message, retry_status: { type: "exhausted" }, ...about };
  }
}

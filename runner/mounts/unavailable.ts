import type { SessionError } from "@gantry/protocol/run-end.ts";
import type { z } from "zod";

/** A resource that a run needs is not available, so the run does not begin. `error` is the event's description of it. */
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

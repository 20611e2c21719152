import { z } from "zod";

/** What an agent may do without asking. The names are the engine's. */
export const PermissionMode = z.enum(["default", "acceptEdits", "bypassPermissions", "plan", "dontAsk"]);
export type PermissionMode = z.infer<typeof PermissionMode>;

/** Permission mode for requests that name none. */
export const DEFAULT_PERMISSION_MODE: PermissionMode = "acceptEdits";

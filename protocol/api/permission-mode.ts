import { z } from "zod";

/** What an agent may do without being asked about: the engine's own names. */
export const PermissionMode = z.enum(["default", "acceptEdits", "bypassPermissions", "plan", "dontAsk"]);
export type PermissionMode = z.infer<typeof PermissionMode>;

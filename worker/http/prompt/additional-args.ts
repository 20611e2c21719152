import { RequestRefused } from "@gantry/protocol/error.ts";
import { RunOptions } from "@gantry/protocol/run-options.ts";
import { refusedBy } from "../request/body.ts";

/** Options that flags may set. Flags never reach a command line: each becomes one typed option. */
export type ArgOptions = Partial<RunOptions> & { verbose?: boolean };

/** Flag → the option it sets, and how its value is read. Flags that are not in this table are refused. */
const FLAGS: Record<string, { option: keyof RunOptions | "verbose"; read: "text" | "number" | "list" | "none" }> = {
  "--model": { option: "model", read: "text" },
  "--max-turns": { option: "maxTurns", read: "number" },
  "--max-budget-usd": { option: "maxBudgetUsd", read: "number" },
  "--permission-mode": { option: "permissionMode", read: "text" },
  "--append-system-prompt": { option: "appendSystemPrompt", read: "text" },
  "--allowed-tools": { option: "allowedTools", read: "list" },
  "--allowedTools": { option: "allowedTools", read: "list" },
  "--disallowed-tools": { option: "disallowedTools", read: "list" },
  "--disallowedTools": { option: "disallowedTools", read: "list" },
  "--effort": { option: "effort", read: "text" },
  "--verbose": { option: "verbose", read: "none" },
};

/** The allowed flags, for messages and docs. */
export const ALLOWED_FLAGS: readonly string[] = Object.keys(FLAGS);

/**
 * Parses `additionalArgs`, which are arguments of the `claude` command. Arbitrary arguments would re-enable everything a
 * sandbox forbids (measured), so only the flags of the table above pass. Throws `invalid_request` for any other.
 */
export function parseAdditionalArgs(args: readonly string[]): ArgOptions {
  const options: Record<string, unknown> = {};
  for (let i = 0; i < args.length; i++) {
    const field = `additionalArgs[${i}]`;
    const [name, inline] = splitOnce(args[i] ?? "");
    const flag = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
    if (!flag) {
      throw new RequestRefused({
        code: "invalid_request",
        field,
        reason: `${JSON.stringify(args[i])} is not allowed; the allowed flags are ${ALLOWED_FLAGS.join(", ")}`,
      });
    }
    if (flag.read === "none") {
      if (inline !== undefined)
        throw new RequestRefused({ code: "invalid_request", field, reason: `${name} takes no value` });
      options[flag.option] = true;
      continue;
    }
    const text = inline ?? args[++i];
    if (text === undefined || (inline === undefined && text.startsWith("--"))) {
      throw new RequestRefused({ code: "invalid_request", field, reason: `${name} needs a value` });
    }
    const value =
      flag.read === "number"
        ? Number(text)
        : flag.read === "list"
          ? text
              .split(",")
              .map((part) => part.trim())
              .filter(Boolean)
          : text;
    if (flag.option !== "permissionMode" && flag.option !== "verbose") {
      const checked = RunOptions.shape[flag.option].safeParse(value);
      if (!checked.success)
        throw new RequestRefused({
          code: "invalid_request",
          field,
          reason: `${name}: ${refusedBy(checked.error).message.replace(/^body: /, "")}`,
        });
    }
    options[flag.option] = value;
  }
  return options as ArgOptions;
}

function splitOnce(arg: string): [string, string | undefined] {
  const at = arg.indexOf("=");
  return at < 0 ? [arg, undefined] : [arg.slice(0, at), arg.slice(at + 1)];
}

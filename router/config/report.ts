/** The problems of one configuration text, each with its line and column. */
import type { z } from "zod";
import { WITHOUT_EFFECT } from "./schema.ts";
import type { Path, YamlText } from "./yaml.ts";

/** Something wrong in the configuration. An error is a part that cannot be used; a warning is only worth a look. */
export interface ConfigProblem {
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** `model_list[2].litellm_params.rpm`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
  readonly severity: "error" | "warning";
}

/** Collects problems and finds the position of each in the text. */
export class Report {
  readonly problems: ConfigProblem[] = [];
  readonly #yaml: YamlText;

  constructor(yaml: YamlText) {
    this.#yaml = yaml;
  }

  add(path: Path, message: string, severity: ConfigProblem["severity"] = "error"): void {
    this.problems.push({ ...this.#yaml.locate(path), path: toPathText(path), message, severity });
  }

  /** Adds every issue that zod found in the value at `path`. */
  issues(path: Path, error: z.ZodError): void {
    for (const issue of error.issues) this.add([...path, ...(issue.path as (string | number)[])], issue.message);
  }

  /** Whether the text has something at `path`. */
  has(path: Path): boolean {
    return this.#yaml.has(path);
  }

  /** Warns of each key of `value` that is not among `known`. */
  unknown(path: Path, value: Record<string, unknown>, known: readonly string[], section: string): void {
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue;
      const idle = WITHOUT_EFFECT[section]?.includes(key) ?? false;
      this.add(
        [...path, key],
        idle ? `\`${key}\` is LiteLLM's and has no effect here` : `unknown key \`${key}\`, ignored`,
        "warning",
      );
    }
  }
}

function toPathText(path: Path): string {
  return path.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
}

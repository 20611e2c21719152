/**
 * `litellm_config.yaml` → `RouterConfig`, and a list of problems with line and column.
 *
 * Nothing here throws on a bad file: every valid part is used, and every other part is reported. The launcher refuses to
 * start when there is an error, and prints warnings.
 */
import { isRecord } from "../base/json.ts";
import { compileRoutes } from "../routes/routes.ts";
import { buildConfig } from "./build.ts";
import { type ConfigProblem, Report } from "./report.ts";
import type { RouterConfig } from "./router-config.ts";
import type { LitellmSettingsFile, RouterSettingsFile } from "./schema.ts";
import { readEntries, readSection } from "./sections.ts";
import { readYaml } from "./yaml.ts";

/** Reads a configuration text. An empty text is a valid configuration without routes. */
export function parseRouterConfig(text: string): { config: RouterConfig; problems: ConfigProblem[] } {
  const yaml = readYaml(text);
  const report = new Report(yaml);
  for (const fault of yaml.faults) report.problems.push({ ...fault, path: "" });
  const whole = yaml.value ?? {};
  if (!isRecord(whole)) report.add([], "the file must be a map with `model_list`");
  const root = isRecord(whole) ? whole : {};
  report.unknown([], root, ["model_list", "router_settings", "litellm_settings"], "");
  const router = readSection(report, root, "router_settings") as RouterSettingsFile;
  const litellm = readSection(report, root, "litellm_settings") as LitellmSettingsFile;
  const config = buildConfig(readEntries(report, root["model_list"]), router, litellm, report);
  checkTargets(config, report);
  return { config, problems: report.problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** Reports fallbacks and aliases that lead nowhere now, rather than when the first model fails. */
function checkTargets(config: RouterConfig, report: Report): void {
  const table = compileRoutes(config);
  const { general, contextWindow, contentPolicy, byDefault } = config.fallbacks;
  const lists: [key: string, targets: Iterable<string>][] = [
    ["fallbacks", [...general.values()].flat()],
    ["context_window_fallbacks", [...contextWindow.values()].flat()],
    ["content_policy_fallbacks", [...contentPolicy.values()].flat()],
    ["default_fallbacks", byDefault],
    ["model_group_alias", config.aliases.values()],
  ];
  for (const [key, targets] of lists) {
    for (const target of new Set(targets)) {
      if (table.match(target) !== undefined) continue;
      const path = report.has(["router_settings", key]) ? ["router_settings", key] : ["litellm_settings", key];
      report.add(path, `no route takes \`${target}\``, "warning");
    }
  }
}

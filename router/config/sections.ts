/** Reads the sections of `litellm_config.yaml`. A value that does not fit its schema is reported and left out. */
import { isRecord } from "../base/json.ts";
import { envName, isOwnSetting } from "../routes/env-names.ts";
import { isOwnAddress, writtenProvider } from "../routes/keys.ts";
import { findProvider } from "../routes/providers.ts";
import type { Report } from "./report.ts";
import { litellmParams, modelEntry, type ModelEntryFile, modelInfo, PRESETS, retryPolicy, SECTIONS } from "./schema.ts";
import type { Path } from "./yaml.ts";

/** The valid entries of `model_list`; each invalid one is reported. */
export function readEntries(report: Report, list: unknown): ModelEntryFile[] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) {
    report.add(["model_list"], "`model_list` must be a list");
    return [];
  }
  const entries: ModelEntryFile[] = [];
  const ids = new Set<string>();
  for (const [index, raw] of (list as unknown[]).entries()) {
    const path: Path = ["model_list", index];
    const parsed = modelEntry.safeParse(raw);
    if (isRecord(raw)) {
      report.unknown(path, raw, Object.keys(modelEntry.shape), "model_entry");
      const params = raw["litellm_params"];
      if (isRecord(params))
        report.unknown(
          [...path, "litellm_params"],
          params,
          [...Object.keys(litellmParams.shape), ...PRESETS],
          "litellm_params",
        );
      const info = raw["model_info"];
      if (isRecord(info)) {
        const known = Object.keys(info).filter((key) => key.startsWith("supports_"));
        report.unknown([...path, "model_info"], info, [...Object.keys(modelInfo.shape), ...known], "model_info");
      }
    }
    if (!parsed.success) {
      report.issues(path, parsed.error);
      continue;
    }
    checkEntry(report, path, parsed.data);
    const id = parsed.data.model_info?.id;
    if (id !== undefined) {
      if (ids.has(String(id)))
        report.add([...path, "model_info", "id"], `id \`${id}\` is already taken by another entry`);
      ids.add(String(id));
    }
    entries.push({
      ...parsed.data,
      litellm_params: { ...(raw as { litellm_params: object }).litellm_params, ...parsed.data.litellm_params },
    });
  }
  return entries;
}

function checkEntry(report: Report, path: Path, entry: ModelEntryFile): void {
  const stars = (text: string): number => text.split("*").length - 1;
  if (stars(entry.litellm_params.model) > stars(entry.model_name)) {
    report.add([...path, "litellm_params", "model"], "`model` has more `*` than `model_name`: nothing would fill them");
  }
  const { model, api_key: key, api_base: base, base_url: url, custom_llm_provider: own } = entry.litellm_params;
  const provider = own ?? (model.includes("/") ? (model.split("/")[0] ?? "") : "openai");
  for (const [name, value] of Object.entries({ api_key: key, api_base: base, base_url: url })) {
    if (!isOwnSetting(envName(value) ?? "")) continue;
    report.add(
      [...path, "litellm_params", name],
      `\`${envName(value)}\` belongs to Gantry itself, and no route may read it: keep the value in a variable of another name`,
    );
  }
  const address = base ?? url;
  const written = writtenProvider({ model, provider: own });
  if (written === undefined && address === undefined) {
    report.add(
      [...path, "litellm_params", "model"],
      "the caller's model name would choose the provider, so no key and no address is used: write a route for each provider, or an `api_base`",
      "warning",
    );
  } else if (
    written !== undefined &&
    key === undefined &&
    envName(address) === undefined &&
    (findProvider(written)?.keys.length ?? 0) > 0 &&
    isOwnAddress(written, address)
  ) {
    report.add(
      [...path, "litellm_params"],
      `no \`api_key\`: this address gets no key, not even that of "${written}". Write the key's variable, or any text if the server needs none`,
      "warning",
    );
  }
  if (
    base === undefined &&
    url === undefined &&
    !provider.includes("*") &&
    findProvider(provider)?.apiBase === undefined
  ) {
    const known = findProvider(provider) !== undefined;
    report.add(
      [...path, "litellm_params", "model"],
      `provider "${provider}" ${known ? "has no address of its own" : "is not known"}: it needs an \`api_base\``,
    );
  }
  if (key !== undefined && envName(key) === undefined && key.length > 8) {
    report.add(
      [...path, "litellm_params", "api_key"],
      "the file contains a key: write `os.environ/NAME` and set NAME instead",
      "warning",
    );
  }
}

/** A section of the file, without its invalid values. */
export function readSection(report: Report, root: Record<string, unknown>, name: keyof typeof SECTIONS): object {
  const raw = root[name];
  if (raw === undefined || raw === null) return {};
  if (!isRecord(raw)) {
    report.add([name], `\`${name}\` must be a map`);
    return {};
  }
  const schema = SECTIONS[name];
  report.unknown([name], raw, Object.keys(schema.shape), name);
  const policy = raw["retry_policy"];
  if (isRecord(policy)) report.unknown([name, "retry_policy"], policy, Object.keys(retryPolicy.shape), "retry_policy");
  const cache = raw["cache_params"];
  if (isRecord(cache)) report.unknown([name, "cache_params"], cache, ["ttl", "type"], "cache_params");
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  report.issues([name], parsed.error);
  // One invalid value does not make the rest of the section invalid.
  const bad = new Set(parsed.error.issues.map((issue) => issue.path[0]));
  const rest = schema.safeParse(Object.fromEntries(Object.entries(raw).filter(([key]) => !bad.has(key))));
  return rest.success ? rest.data : {};
}

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BadSetting, readSettings } from "./settings.ts";

const ROUTES = `model_list:
  - model_name: own/*
    litellm_params:
      model: openai/*
      api_base: http://127.0.0.1:9/v1
      api_key: os.environ/OWN_KEY
`;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "gantry-settings-"));
  writeFileSync(join(folder, "litellm_config.yaml"), ROUTES);
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Given {
  env?: Record<string, string>;
  /** Text of `.env` and `.dev.vars`. */
  file?: string;
  dev?: string;
}

function read({ env = {}, file, dev }: Given): ReturnType<typeof readSettings> {
  if (file !== undefined) writeFileSync(join(folder, ".env"), file);
  if (dev !== undefined) writeFileSync(join(folder, ".dev.vars"), dev);
  return readSettings(env, folder);
}

describe("where a setting comes from", () => {
  it.each<[string, Given, port: number]>([
    ["nowhere", {}, 8787],
    ["the environment", { env: { PORT: "1" } }, 1],
    [".env", { file: "PORT=2" }, 2],
    [".dev.vars", { dev: "PORT=3" }, 3],
    [".env before .dev.vars", { file: "PORT=2", dev: "PORT=3" }, 2],
    ["the environment before .env", { env: { PORT: "1" }, file: "PORT=2" }, 1],
    ["the environment before .dev.vars", { env: { PORT: "1" }, dev: "PORT=3" }, 1],
    ["the environment before all", { env: { PORT: "1" }, file: "PORT=2", dev: "PORT=3" }, 1],
    ["one file, where the other says nothing of it", { file: "HOST=::1", dev: "PORT=3" }, 3],
    ["a file with comments, quotes and export", { file: "# PORT=9\nexport PORT='4' # four\n" }, 4],
    ["nowhere: an empty variable is none", { env: { PORT: "" } }, 8787],
    ["a free port", { env: { PORT: "0" } }, 0],
  ])("%s", (_name, given, port) => {
    expect(read(given).port).toBe(port);
  });

  it.each<[string, Given, (settings: ReturnType<typeof read>) => unknown, unknown]>([
    ["the host", {}, (s) => s.host, "127.0.0.1"],
    ["another host", { file: "HOST=0.0.0.0" }, (s) => s.host, "0.0.0.0"],
    ["the state folder", {}, (s) => s.state === join(folder, ".gantry"), true],
    ["another state folder, from here", { env: { GANTRY_STATE: "a/b" } }, (s) => s.state === join(folder, "a/b"), true],
    ["a key that is given", { dev: "GANTRY_API_KEY=mine" }, (s) => s.apiKey, "mine"],
    ["the routes", {}, (s) => s.routes, ROUTES],
    ["no warnings", {}, (s) => s.warnings, []],
  ])("%s", (_name, given, of, wanted) => {
    expect(of(read(given))).toEqual(wanted);
  });
});

describe("what the Worker gets", () => {
  it.each<[string, Given, Record<string, string>]>([
    ["nothing that is not set", {}, {}],
    [
      "keys of providers",
      { file: "GROQ_API_KEY=g\nANTHROPIC_API_KEY=a" },
      { GROQ_API_KEY: "g", ANTHROPIC_API_KEY: "a" },
    ],
    ["a key that a route names", { env: { OWN_KEY: "o" } }, { OWN_KEY: "o" }],
    ["settings", { env: { MODEL: "own/x", GANTRY_RUN_MINUTES: "5" } }, { MODEL: "own/x", GANTRY_RUN_MINUTES: "5" }],
    ["nothing else", { env: { HOME: "/root", AWS_SECRET_ACCESS_KEY: "s", PORT: "1", HOST: "::1" } }, {}],
    ["nothing empty", { env: { MODEL: "", GROQ_API_KEY: "" } }, {}],
  ])("%s", (_name, given, bindings) => {
    expect(read(given).bindings).toEqual(bindings);
  });

  it("its secrets are named, so that no child inherits them", () => {
    expect(read({}).secrets).toEqual(
      expect.arrayContaining(["ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "OWN_KEY", "GANTRY_API_KEY"]),
    );
  });
});

describe("values that are refused by their name", () => {
  it.each<[name: string, value: string]>([
    ["PORT", "http"],
    ["PORT", "-1"],
    ["PORT", "65536"],
    ["PORT", "80.5"],
    ["PORT", " "],
    ["GANTRY_PERMISSION_MODE", "everything"],
    ["GANTRY_RUN_MINUTES", "soon"],
    ["GANTRY_RUN_MINUTES", "0"],
    ["GANTRY_RUN_MINUTES", "40000"],
    ["GANTRY_MIN_FREE_BYTES", "1GB"],
    ["GANTRY_MIN_FREE_BYTES", "-1"],
    ["GANTRY_SESSION_BUDGET_USD", "$5"],
    ["GANTRY_ACCOUNT_BUDGET_USD", "-5"],
    ["LITELLM_CONFIG", "missing.yaml"],
  ])("%s=%s", (name, value) => {
    for (const given of [{ env: { [name]: value } }, { file: `${name}="${value}"` }]) {
      expect(() => read(given)).toThrow(BadSetting);
      expect(() => read(given)).toThrow(new RegExp(name));
      expect(() => read(given)).toThrow(value);
    }
  });

  it.each([
    ["GANTRY_PERMISSION_MODE", "full"],
    ["GANTRY_PERMISSION_MODE", "plan"],
    ["GANTRY_MIN_FREE_BYTES", String(2 ** 60)],
    ["GANTRY_MIN_FREE_BYTES", "0"],
    ["GANTRY_SESSION_BUDGET_USD", "0.25"],
    ["GANTRY_RUN_MINUTES", "35000"],
  ])("%s=%s is taken", (name, value) => {
    expect(read({ env: { [name]: value } }).bindings[name]).toBe(value);
  });

  it("errors in the routes file are told with their place", () => {
    writeFileSync(join(folder, "litellm_config.yaml"), "model_list:\n  - model_name: 7\n");
    expect(() => read({})).toThrow(BadSetting);
    expect(() => read({})).toThrow(/litellm_config\.yaml:2:\d+ /);
  });
});

describe("the key of a state folder", () => {
  const keyFile = (): string => join(folder, ".gantry", "api-key");

  it("is made once, kept, and readable by its owner alone", () => {
    const first = read({}).apiKey;
    expect(first).toMatch(/^gk_[\w-]{43}$/);
    expect(statSync(keyFile()).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, ".gantry")).mode & 0o777).toBe(0o700);
    expect(read({}).apiKey).toBe(first);
    expect(readFileSync(keyFile(), "utf8").trim()).toBe(first);
  });

  it("is another one for another folder", () => {
    expect(read({}).apiKey).not.toBe(read({ env: { GANTRY_STATE: "other" } }).apiKey);
  });

  it("is not written where a key is given, and comes back where it no longer is", () => {
    read({ env: { GANTRY_API_KEY: "mine" } });
    expect(existsSync(keyFile())).toBe(false);
    const kept = read({}).apiKey;
    expect(read({ env: { GANTRY_API_KEY: "mine" } }).apiKey).toBe("mine");
    expect(read({}).apiKey).toBe(kept);
  });

  it("is made anew where the file was left empty", () => {
    mkdirSync(join(folder, ".gantry"));
    writeFileSync(keyFile(), "\n");
    expect(read({}).apiKey).toMatch(/^gk_/);
  });
});

describe("sec/H9 the start warns of routes that a budget cannot count", () => {
  const entry = (name: string, more = ""): string =>
    `  - {model_name: "${name}", litellm_params: {model: "${name}", api_key: k}${more}}\n`;
  const price = ", model_info: {input_cost_per_token: 0.000001, output_cost_per_token: 0.000001}";
  const list = (...entries: string[]): void =>
    writeFileSync(join(folder, "litellm_config.yaml"), `model_list:\n${entries.join("")}`);

  it.each(["GANTRY_ACCOUNT_BUDGET_USD", "GANTRY_SESSION_BUDGET_USD"])("%s", (name) => {
    list(
      entry("groq/openai/gpt-oss-120b"),
      entry("groq/other"),
      entry("openrouter/*"),
      entry("openai/*", price),
      entry("mistral/x", price),
      "  - {model_name: xai/x, litellm_params: {model: xai/x}}\n",
    );
    expect(read({}).warnings.join()).not.toContain("budget");
    const { warnings } = read({ env: { [name]: "3" } });
    expect(warnings.at(-1)).toContain("(402): groq/other, openrouter/*.");
  });

  it("says nothing when every route has a price", () => {
    list(entry("openai/*", price));
    expect(read({ env: { GANTRY_ACCOUNT_BUDGET_USD: "3" } }).warnings).toEqual([]);
  });
});

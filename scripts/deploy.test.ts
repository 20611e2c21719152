import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";
import { ROOT } from "../local/build.ts";

/** `wrangler.jsonc`: an environment of it inherits no binding, so each is written twice. */

/** The parts of it that are looked at here. */
interface Config {
  readonly durable_objects: { readonly bindings: readonly { name: string; class_name: string }[] };
  readonly d1_databases: readonly { binding: string; database_name: string }[];
  readonly r2_buckets: readonly { binding: string; bucket_name: string }[];
  readonly queues: { readonly producers?: readonly { binding: string; queue: string }[] };
  readonly vars: Readonly<Record<string, unknown>>;
  readonly secrets?: { readonly required?: readonly string[] };
  readonly containers?: readonly { class_name: string }[];
}

const read = (env?: string): Config =>
  unstable_readConfig({ config: join(ROOT, "wrangler.jsonc"), ...(env ? { env } : {}) }, { hideWarnings: true });

/** What a Worker finds in its environment: names by kind. */
function bindings(config: Config): Record<string, readonly unknown[]> {
  return {
    objects: config.durable_objects.bindings.map(({ name, class_name }) => `${name} ${class_name}`),
    databases: config.d1_databases.map(({ binding }) => binding),
    buckets: config.r2_buckets.map(({ binding }) => binding),
    queues: config.queues.producers?.map(({ binding }) => binding) ?? [],
    settings: Object.keys(config.vars),
    secrets: config.secrets?.required ?? [],
    containers: config.containers?.map(({ class_name }) => class_name) ?? [],
  };
}

describe("wrangler.jsonc", () => {
  it("gives staging everything production has", () => {
    expect(bindings(read("staging"))).toEqual(bindings(read()));
  });

  it("shares no store between them", () => {
    const stores = (env?: string): string[] => {
      const config = read(env);
      return [
        ...config.d1_databases.map((each) => each.database_name),
        ...config.r2_buckets.map((each) => each.bucket_name),
        ...(config.queues.producers ?? []).map((each) => each.queue),
      ];
    };
    expect(stores().filter((name) => stores("staging").includes(name))).toEqual([]);
  });

  it("names no id of an account", () => {
    expect(JSON.stringify([read(), read("staging")])).not.toMatch(/"(account_id|database_id)":"[^"]/);
  });
});

import { describe, expect, it } from "vitest";
import { z } from "zod";
import { ROUTES, ROUTE_NAMES, querySchemaOf } from "./routes.ts";
import type { Route } from "./route.ts";

const LISTS = ROUTE_NAMES.flatMap((name) => {
  const route: Route = ROUTES[name];
  const { properties = {} } = z.toJSONSchema(querySchemaOf(route), { io: "input", unrepresentable: "any" });
  return Object.entries(properties)
    .filter(([parameter]) => parameter.endsWith("[]"))
    .map(([parameter, schema]) => ({ name, parameter, schema }));
});

describe("the lists in queries", () => {
  it("exist", () => expect(LISTS.length).toBeGreaterThan(5));

  it.each(LISTS)("sec/low2 $name: $parameter has at most 100 values", ({ schema }) => {
    expect(typeof schema === "object" ? schema.maxItems : null).toBeLessThanOrEqual(100);
  });
});

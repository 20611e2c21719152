import { Validator } from "@seriousme/openapi-schema-validator";
import { describe, expect, it } from "vitest";
import { docsPage } from "./docs-page.ts";
import { openApi, shownPath } from "./openapi.ts";
import { PUBLIC_ROUTES, ROUTES } from "../routes/routes.ts";

type Operation = { responses: Record<string, unknown>; requestBody?: { content: Record<string, { schema: object }> } };
const document = openApi("1.2.3") as { openapi: string; paths: Record<string, Record<string, Operation>> };

describe("the OpenAPI document", () => {
  it("is valid OpenAPI 3.1", async () => {
    const result = await new Validator().validate(JSON.parse(JSON.stringify(document)) as Record<string, never>);
    expect([result.valid, result.errors]).toEqual([true, undefined]);
    expect(document.openapi).toMatch(/^3\.1\./);
  });

  it("has every route and no other", () => {
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const known = PUBLIC_ROUTES.map((name) => `${name.split(" ")[0]} ${shownPath(name)}`);
    expect(described.toSorted()).toEqual(known.toSorted());
  });

  it.each(PUBLIC_ROUTES)("%s describes its answers, its errors and its body", (name) => {
    const operation = document.paths[shownPath(name)]?.[(name.split(" ")[0] ?? "").toLowerCase()];
    const statuses = Object.keys(operation?.responses ?? {});
    const route: (typeof ROUTES)[keyof typeof ROUTES] = ROUTES[name];
    expect(statuses.some((status) => /^[12]/.test(status))).toBe(true);
    expect(statuses).toContain("500");
    if (route.access !== "open") expect(statuses).toEqual(expect.arrayContaining(["400", "401", "403"]));
    if (name.includes(":")) expect(statuses).toContain("404");
    const schema = operation?.requestBody?.content["application/json"]?.schema;
    expect(schema !== undefined).toBe("body" in route);
    if (schema !== undefined)
      expect(Object.keys((schema as { properties: object }).properties).length).toBeGreaterThan(0);
  });

  it("names each operation once", () => {
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map((operation) => (operation as unknown as { operationId: string }).operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe("the HTML page", () => {
  it("has every route, and nothing that a browser would fetch or run", () => {
    const page = docsPage(openApi("1.2.3"));
    for (const name of PUBLIC_ROUTES) expect(page).toContain(`<code>${shownPath(name)}</code>`);
    expect(page).not.toMatch(/<script|<link|<img|<iframe|javascript:|\son\w+=|style="|https?:\/\/(?!json-schema)/i);
  });

  it("escapes the document's texts", () => {
    const evil = { ...openApi("1.2.3"), info: { title: "<script>", version: '"', description: "&" } };
    expect(docsPage(evil)).not.toContain("<script>");
  });
});

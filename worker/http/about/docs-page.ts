/** Renders the OpenAPI document as a single HTML page without scripts. */

interface Operation {
  readonly summary: string;
  readonly tags: readonly string[];
  readonly "x-scopes"?: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<Record<string, Response>>;
}
interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
}
interface Response {
  readonly description: string;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}
type Schema = Readonly<Record<string, unknown>>;

const STYLE = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --soft: color-mix(in srgb, currentColor 6%, transparent) }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 2rem 1rem 6rem }
h1 { margin: 0 } h2 { margin: 2.5rem 0 .5rem; text-transform: capitalize } h3 { font-size: 1rem; margin: 1rem 0 .25rem }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0; text-transform: capitalize }
details.route { border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0 } details.route > div { padding: 0 1rem 1rem }
summary { cursor: pointer; padding: .5rem 1rem; display: flex; gap: .75rem; flex-wrap: wrap; align-items: baseline }
summary:focus-visible { outline: 2px solid; border-radius: .5rem } summary .about { opacity: .75 }
.method { font: 600 .8rem ui-monospace, monospace; min-width: 4rem } code, pre { font: .875rem/1.45 ui-monospace, monospace }
pre { background: var(--soft); border-radius: .4rem; padding: .75rem; overflow: auto; max-height: 30rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0 }
`;

/** Hash of the page's style for its Content-Security-Policy, which allows nothing else. */
export async function docsStyleHash(): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(STYLE));
  return `sha256-${btoa(String.fromCharCode(...new Uint8Array(hash)))}`;
}

/** Renders the document as HTML. Every text of the document is escaped. */
export function docsPage(document: Record<string, unknown>): string {
  const { info, paths, tags, components } = document as {
    info: { title: string; version: string; description: string };
    paths: Record<string, Record<string, Operation>>;
    tags: { name: string }[];
    components: { schemas: Record<string, Schema> };
  };
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const sections = tags.map(({ name }) => {
    const routes = operations.filter(({ operation }) => operation.tags.includes(name));
    return `<section><h2 id="${escape(name)}">${escape(name.replaceAll("_", " "))}</h2>${routes.map(route).join("")}</section>`;
  });
  const objects = Object.entries(components.schemas).map(
    ([name, schema]) =>
      `<details class="route" id="schema-${escape(name)}"><summary><code>${escape(name)}</code></summary><div>${json(schema)}</div></details>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(info.title)} API</title><style>${STYLE}</style></head><body>
<h1>${escape(info.title)} API</h1>
<p>${escape(info.description)} Version ${escape(info.version)}. Send your key as <code>Authorization: Bearer KEY</code> or <code>x-api-key: KEY</code>. Machine-readable: <a href="/openapi.json">openapi.json</a>.</p>
<nav>${tags.map(({ name }) => `<a href="#${escape(name)}">${escape(name.replaceAll("_", " "))}</a>`).join("")}<a href="#objects">objects</a></nav>
${sections.join("\n")}
<section><h2 id="objects">Objects</h2>${objects.join("")}</section>
</body></html>`;
}

function route({ path, method, operation }: { path: string; method: string; operation: Operation }): string {
  const scopes = operation["x-scopes"];
  const body = Object.entries(operation.requestBody?.content ?? {});
  return `<details class="route"><summary><span class="method">${escape(method.toUpperCase())}</span><code>${escape(path)}</code><span class="about">${escape(operation.summary)}</span></summary><div>
<p>${scopes ? `Scope: ${[...new Set([...scopes, "admin"])].map((scope) => `<code>${escape(scope)}</code>`).join(" or ")}` : "Needs no key."}</p>
${operation.parameters.length > 0 ? `<h3>Parameters</h3>${table(operation.parameters.map(parameter))}` : ""}
${body.map(([type, { schema }]) => `<h3>Body <code>${escape(type)}</code></h3>${fields(schema)}<details><summary>Schema</summary>${json(schema)}</details>`).join("")}
<h3>Answers</h3>${table(Object.entries(operation.responses).map(([status, each]) => [code(status), escape(each.description), answer(each)]))}
</div></details>`;
}

function parameter(each: Parameter): string[] {
  const need = each.required ? "required" : "";
  return [code(each.name), escape(each.in), escape(typeOf(each.schema)), need, escape(each.description ?? "")];
}

function fields(schema: Schema): string {
  const properties = Object.entries((schema["properties"] ?? {}) as Record<string, Schema>);
  const required = (schema["required"] ?? []) as string[];
  return table(
    properties.map(([name, each]) => [
      code(name),
      escape(typeOf(each)),
      required.includes(name) && each["default"] === undefined ? "required" : "",
    ]),
  );
}

function answer({ content = {} }: Response): string {
  return Object.entries(content)
    .map(([type, { schema }]) => {
      const name = typeof schema["$ref"] === "string" ? schema["$ref"].split("/").at(-1) : undefined;
      return `${code(type)}${name === undefined ? "" : ` <a href="#schema-${escape(name)}">${escape(name)}</a>`}`;
    })
    .join("<br>");
}

/** A short text for the type that a schema describes. */
function typeOf(schema: Schema): string {
  if (Array.isArray(schema["enum"])) return schema["enum"].map((value) => JSON.stringify(value)).join(" | ");
  if (schema["const"] !== undefined) return JSON.stringify(schema["const"]);
  const choices = (schema["anyOf"] ?? schema["oneOf"]) as Schema[] | undefined;
  if (choices) return [...new Set(choices.map(typeOf))].join(" | ");
  if (schema["type"] === "array") return `${typeOf((schema["items"] ?? {}) as Schema)}[]`;
  return typeof schema["type"] === "string" ? schema["type"] : "any";
}

function table(rows: readonly (readonly string[])[]): string {
  return `<table>${rows.map((cells) => `<tr>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`).join("")}</table>`;
}

function json(value: unknown): string {
  return `<pre>${escape(JSON.stringify(value, null, 2))}</pre>`;
}

function code(text: string): string {
  return `<code>${escape(text)}</code>`;
}

function escape(text: string): string {
  const names: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replaceAll(/[&<>"']/g, (letter) => names[letter] ?? letter);
}

/**
 * Records when sessions and runs began and ended: `node bench/scale/record.ts http://127.0.0.1:8787 API_KEY > trace.csv`, then
 * `TRACE=trace.csv npm run bench -- scale`. Writes ids of sessions and times, no content.
 */
const [url, key] = process.argv.slice(2);
if (!url || !key) {
  console.error("usage: node bench/scale/record.ts URL API_KEY > trace.csv");
  process.exit(2);
}

interface Page<T> {
  readonly data: readonly T[];
  readonly next_page?: string | null;
}

async function* all<T>(path: string): AsyncGenerator<T> {
  let page: string | null = null;
  do {
    const query = new URLSearchParams({ limit: "100", ...(page === null ? {} : { page }) });
    const response = await fetch(`${url}${path}?${query.toString()}`, { headers: { authorization: `Bearer ${key}` } });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const body = (await response.json()) as Page<T>;
    yield* body.data;
    page = body.next_page ?? null;
  } while (page !== null);
}

interface Run {
  readonly created_at: string;
  readonly started_at: string | null;
  readonly ended_at: string | null;
}

console.log("session,created_at,started_at,ended_at");
for await (const session of all<{ id: string }>("/v1/sessions"))
  for await (const run of all<Run>(`/v1/sessions/${session.id}/runs`))
    if (run.started_at !== null && run.ended_at !== null)
      console.log(
        [session.id, ...[run.created_at, run.started_at, run.ended_at].map((time) => Date.parse(time))].join(","),
      );

export {};

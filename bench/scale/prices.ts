/**
 * What Cloudflare asks, in US dollars, beyond the allowances of the paid plan (5 dollars a month). Read 2026-08 to
 * 2026-11 from the pages named; they change.
 */
export const PRICES = {
  /** developers.cloudflare.com/containers/pricing: memory and disk for as long as an instance runs, processor by use. */
  containerGibSecond: 0.0000025,
  containerDiskGbSecond: 0.00000007,
  containerVcpuSecond: 0.00002,
  /** developers.cloudflare.com/durable-objects/platform/pricing: 128 MB an object while it is active or cannot hibernate. */
  objectGbSecond: 12.5 / 1e6,
  objectRequest: 0.15 / 1e6,
  rowWritten: 1 / 1e6,
  rowRead: 0.001 / 1e6,
  /** developers.cloudflare.com/workers/platform/pricing */
  workerRequest: 0.3 / 1e6,
  workerCpuMs: 0.02 / 1e6,
  /** developers.cloudflare.com/r2/pricing */
  r2Write: 4.5 / 1e6,
  r2Read: 0.36 / 1e6,
} as const;

export interface InstanceType {
  readonly name: string;
  readonly vcpu: number;
  readonly memoryGib: number;
  readonly diskGb: number;
}

/** developers.cloudflare.com/containers/platform/limits */
export const INSTANCES: readonly InstanceType[] = [
  { name: "basic", vcpu: 0.25, memoryGib: 1, diskGb: 4 },
  { name: "standard-1", vcpu: 0.5, memoryGib: 4, diskGb: 8 },
];

const ACCOUNT = { memoryGib: 6 * 1024, vcpu: 1500, diskGb: 30_000 };

/** How many of a type one account may run at once, and which of its limits says so. */
export function capacityOf(instance: InstanceType): { sandboxes: number; limit: string } {
  const limits = [
    { limit: "memory", sandboxes: ACCOUNT.memoryGib / instance.memoryGib },
    { limit: "vCPU", sandboxes: ACCOUNT.vcpu / instance.vcpu },
    { limit: "disk", sandboxes: ACCOUNT.diskGb / instance.diskGb },
  ].sort((a, b) => a.sandboxes - b.sandboxes);
  const [least] = limits;
  return { sandboxes: Math.floor(least?.sandboxes ?? 0), limit: least?.limit ?? "" };
}

/** What one run makes the platform do beside the container; counted as `docs/scale.md` says. */
export interface RunCounts {
  readonly workerRequests: number;
  readonly workerCpuMs: number;
  readonly objectRequests: number;
  readonly rowsWritten: number;
  readonly rowsRead: number;
  readonly r2Writes: number;
  readonly r2Reads: number;
  /** Of the engine and its tools, in the container. */
  readonly engineCpuSeconds: number;
}

/** Dollars for a thousand runs, by what they are asked for. */
export function costOfThousand(
  counts: RunCounts,
  instance: InstanceType,
  perRun: { readonly sandboxSeconds: number; readonly busySeconds: number },
): { container: number; objects: number; worker: number; r2: number; total: number } {
  const container =
    perRun.sandboxSeconds *
      (instance.memoryGib * PRICES.containerGibSecond + instance.diskGb * PRICES.containerDiskGbSecond) +
    counts.engineCpuSeconds * PRICES.containerVcpuSecond;
  const objects =
    perRun.busySeconds * 0.128 * PRICES.objectGbSecond +
    counts.objectRequests * PRICES.objectRequest +
    counts.rowsWritten * PRICES.rowWritten +
    counts.rowsRead * PRICES.rowRead;
  const worker = counts.workerRequests * PRICES.workerRequest + counts.workerCpuMs * PRICES.workerCpuMs;
  const r2 = counts.r2Writes * PRICES.r2Write + counts.r2Reads * PRICES.r2Read;
  const thousand = (dollars: number): number => dollars * 1000;
  return {
    container: thousand(container),
    objects: thousand(objects),
    worker: thousand(worker),
    r2: thousand(r2),
    total: thousand(container + objects + worker + r2),
  };
}

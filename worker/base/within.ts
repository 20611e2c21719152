import { RequestRefused } from "@gantry/protocol/error.ts";

/** What a call comes to, or `storage_unavailable` when it takes longer than `ms`. `part`: what is asked. */
export async function within<T>(call: Promise<T>, ms: number, part: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new RequestRefused({ code: "storage_unavailable", part })), ms);
  });
  try {
    return await Promise.race([call, late]);
  } finally {
    clearTimeout(timer);
  }
}

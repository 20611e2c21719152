import { RequestRefused } from "@gantry/protocol/error.ts";

/**
 * Waits for a call for at most `ms` milliseconds. Throws `RequestRefused` (`storage_unavailable`, naming `part`) when it
 * takes longer. The call itself is not cancelled.
 */
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

const BASE_MS = 1_000;
const CAP_MS = 10 * 60_000;

/**
 * Milliseconds until the next attempt: 1 s doubled with each attempt, at most 10 minutes, of which a random
 * half is taken off so that tasks that failed together do not return together ("equal jitter",
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
 *
 * @param attempt the attempt that failed, from 1
 * @param random uniform in [0, 1)
 */
export function retryDelayMs(attempt: number, random: number): number {
  const full = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full / 2 + (full / 2) * random);
}

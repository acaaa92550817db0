/** What is left to a caller. Times in whole seconds. */
export interface Allowance {
  readonly isAllowed: boolean;
  readonly remaining: number;
  /** Until the whole quota is there again. */
  readonly resetSeconds: number;
  /** Until the refused calls would be allowed. */
  readonly retryAfterSeconds: number;
}

export interface RateLimiter {
  readonly requestsPerMinute: number;
  /** Takes `calls` from the caller's bucket, all or none. */
  take(caller: string, calls: number): Allowance;
  /** Puts back what was taken in advance. */
  giveBack(caller: string, calls: number): void;
}

const MAX_CALLERS = 100_000;

/**
 * Token buckets that refill evenly. Own code: the libraries count fixed windows (twice the rate at a window's edge),
 * answer through a promise and a timer a caller, and cost more than the ten lines that they save.
 * @param now milliseconds, monotonic.
 */
export function createRateLimiter(options: { requestsPerMinute: number; now?: () => number }): RateLimiter {
  const { requestsPerMinute: capacity, now = performance.now.bind(performance) } = options;
  const perMs = capacity / 60_000;
  const buckets = new Map<string, { tokens: number; at: number }>();

  function findBucket(caller: string, at: number) {
    const known = buckets.get(caller);
    if (known) return known;
    const [oldest] = buckets.keys();
    if (buckets.size >= MAX_CALLERS && oldest !== undefined) buckets.delete(oldest);
    const bucket = { tokens: capacity, at };
    buckets.set(caller, bucket);
    return bucket;
  }

  return {
    requestsPerMinute: capacity,
    take(caller, calls) {
      const at = now();
      const bucket = findBucket(caller, at);
      bucket.tokens = Math.min(capacity, bucket.tokens + (at - bucket.at) * perMs);
      bucket.at = at;
      // A batch larger than the whole quota takes all of it; else it could never pass.
      const cost = Math.min(calls, capacity);
      const isAllowed = bucket.tokens >= cost;
      if (isAllowed) bucket.tokens -= cost;
      return {
        isAllowed,
        remaining: Math.floor(bucket.tokens),
        resetSeconds: Math.ceil((capacity - bucket.tokens) / perMs / 1000),
        retryAfterSeconds: Math.max(1, Math.ceil((cost - bucket.tokens) / perMs / 1000)),
      };
    },
    giveBack(caller, calls) {
      const bucket = buckets.get(caller);
      if (bucket) bucket.tokens = Math.min(capacity, bucket.tokens + calls);
    },
  };
}

import { OrchestratorError, RateLimitedError, UnavailableError } from './errors.ts';
import { onAbort } from './on-abort.ts';

/** How calls are repeated after a network error, a 503 or a 429. */
export interface RetryOptions {
  /** How often a call is made in all; 1 = no repetition. Default: 8. */
  attempts?: number | undefined;
  /** Upper bound of the first pause; it doubles with each attempt. Default: 0.2. */
  minDelaySeconds?: number | undefined;
  /** Upper bound of any pause. Default: 5. */
  maxDelaySeconds?: number | undefined;
}

export type RetryPolicy = Required<{ [Key in keyof RetryOptions]: NonNullable<RetryOptions[Key]> }>;

/** A server that wants to be left alone for longer is reported to the caller instead. */
const LONGEST_RETRY_AFTER_SECONDS = 60;

export function toRetryPolicy(options: RetryOptions | false | undefined): RetryPolicy {
  if (options === false) return { attempts: 1, minDelaySeconds: 0, maxDelaySeconds: 0 };
  return {
    attempts: options?.attempts ?? 8,
    minDelaySeconds: options?.minDelaySeconds ?? 0.2,
    maxDelaySeconds: options?.maxDelaySeconds ?? 5,
  };
}

/**
 * Exponential backoff with full jitter: uniform in 0..min(max, min·2^(attempt-1)), in milliseconds.
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function backoffMs(
  attempt: number,
  { minDelaySeconds, maxDelaySeconds }: RetryPolicy,
  random = Math.random,
): number {
  return random() * Math.min(maxDelaySeconds, minDelaySeconds * 2 ** (attempt - 1)) * 1000;
}

/** Milliseconds until a failed call may be repeated; null when it may not. */
export function retryDelayMs(error: unknown, attempt: number, policy: RetryPolicy): number | null {
  if (!(error instanceof OrchestratorError) || !error.retryable || attempt >= policy.attempts) return null;
  const wanted =
    error instanceof RateLimitedError || error instanceof UnavailableError ? error.retryAfterSeconds : null;
  if (wanted === null) return backoffMs(attempt, policy);
  if (wanted > LONGEST_RETRY_AFTER_SECONDS) return null;
  return wanted * 1000 + backoffMs(attempt, policy);
}

/** Resolves after `ms`; rejects with the signal's reason as soon as it aborts. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(() => {
      stopListening();
      resolve();
    }, ms);
    const stopListening = onAbort(signal, () => {
      clearTimeout(timer);
      reject(signal?.reason);
    });
  });
}

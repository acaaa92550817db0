import { OrchestratorError } from '../errors.ts';
import { backoffMs, delay, type RetryPolicy } from '../retry.ts';

/** Between attempts of a worker, which never gives up on its server. */
export const PATIENCE: RetryPolicy = { attempts: Infinity, minDelaySeconds: 0.5, maxDelaySeconds: 10 };

/**
 * Sends until the server has taken it or refused it, through any outage.
 * @throws the refusal; or what went wrong last, once `signal` has aborted.
 */
export async function deliver<Answer>(options: {
  send: () => Promise<Answer>;
  signal: AbortSignal;
  onOutage: (error: unknown) => void;
}): Promise<Answer> {
  const { send, signal, onOutage } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (error) {
      if (signal.aborted || !(error instanceof OrchestratorError) || !error.retryable) throw error;
      onOutage(error);
      await delay(backoffMs(attempt, PATIENCE), signal);
    }
  }
}

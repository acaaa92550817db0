import { CallBatcher, type Ticket } from './call-batcher.ts';
import { ConnectionError, OrchestratorError, PayloadTooLargeError } from './errors.ts';
import type { Http } from './http.ts';
import { onAbort } from './on-abort.ts';
import { delay, retryDelayMs, type RetryPolicy } from './retry.ts';

/** How one call is made. */
export interface CallOptions {
  /** Ends the call, and the pauses between its attempts, with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** How long one attempt may take, beside the `wait_seconds` of a long poll. Default: that of the client. */
  timeoutSeconds?: number | undefined;
}

export interface Call {
  readonly path: string;
  readonly kind: 'query' | 'mutation';
  readonly input: unknown;
  /** Seconds that the server may take for a long poll. */
  readonly waitSeconds: number;
  /** The call may be repeated although the server may have done it. */
  readonly isReplaySafe: boolean;
}

export interface CallSettings {
  readonly timeoutSeconds: number;
  readonly retry: RetryPolicy;
}

export type MakeCall = (call: Call, options: CallOptions | undefined) => Promise<unknown>;

/** Makes calls: each with a time limit, repeated when that is safe and of use. */
export function createCaller(http: Http, settings: CallSettings): MakeCall {
  const batchers = { query: new CallBatcher(http, 'query'), mutation: new CallBatcher(http, 'mutation') };
  let callsUnderWay = 0;

  return async function makeCall(call, options = {}) {
    const { path, waitSeconds } = call;
    const input = JSON.stringify(call.input);
    const mustBeAlone = waitSeconds > 0 || path.endsWith('Many');
    const counts = waitSeconds === 0 ? 1 : 0;
    for (let attempt = 1; ; attempt++) {
      // The only caller needs no company and must not wait for any; a repeated call must not suffer from its neighbours.
      const isAlone = mustBeAlone || callsUnderWay === 0 || attempt > 1;
      callsUnderWay += counts;
      try {
        return await attemptCall(batchers[call.kind], {
          path,
          input,
          isAlone,
          timeoutSeconds: (options.timeoutSeconds ?? settings.timeoutSeconds) + waitSeconds,
          signal: options.signal,
        });
      } catch (error) {
        const isCrowded = !isAlone && error instanceof PayloadTooLargeError;
        const delayMs = isCrowded ? 0 : mayRepeat(call, error) ? retryDelayMs(error, attempt, settings.retry) : null;
        if (delayMs === null) throw error;
        await delay(delayMs, options.signal);
      } finally {
        callsUnderWay -= counts;
      }
    }
  };
}

/** Ends with the answer, when its time is up, or when the signal aborts; a call in a batch does not wait for the others then. */
function attemptCall(
  batcher: CallBatcher,
  options: {
    path: string;
    input: string;
    isAlone: boolean;
    timeoutSeconds: number;
    signal: AbortSignal | undefined;
  },
): Promise<unknown> {
  const { path, input, isAlone, timeoutSeconds, signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const end = (): void => {
      clearTimeout(timer);
      stopListening();
    };
    const giveUp = (reason: unknown): void => {
      end();
      batcher.drop(ticket);
      reject(reason);
    };
    const ticket: Ticket = {
      path,
      input,
      request: null,
      resolve(output) {
        end();
        resolve(output);
      },
      reject(error) {
        end();
        reject(error);
      },
    };
    const onTimeout = (): void =>
      giveUp(new ConnectionError(`No answer within ${timeoutSeconds} seconds`, { code: 'TIMEOUT' }));
    const timer = setTimeout(onTimeout, timeoutSeconds * 1000);
    const stopListening = onAbort(signal, () => giveUp(signal?.reason));
    if (isAlone) batcher.sendAlone(ticket);
    else batcher.sendWithOthers(ticket);
  });
}

/** A refused call was not made. After anything else, only a call that may be made twice is made again. */
function mayRepeat(call: Call, error: unknown): boolean {
  if (call.isReplaySafe) return true;
  if (error instanceof ConnectionError) return !error.mayHaveArrived;
  return error instanceof OrchestratorError && error.code === 'RATE_LIMITED';
}

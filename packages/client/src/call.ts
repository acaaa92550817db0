import { createTRPCUntypedClient, httpBatchLink, httpLink, splitLink, TRPCClientError } from '@trpc/client';
import type { AnyTRPCRouter } from '@trpc/server';
import { codeOfStatus, ConnectionError, OrchestratorError, PayloadTooLargeError, toError } from './errors.ts';
import { factsOf, isObject, type Http, type HttpAnswer } from './http.ts';
import { onAbort } from './on-abort.ts';
import { delay, retryDelayMs, type RetryPolicy } from './retry.ts';
import type { ErrorBody, ErrorCode } from './wire.ts';

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

/** Items of one request; the server refuses more. */
const BATCH_MAX_ITEMS = 100;
/** Queries travel in the URL. */
const BATCH_MAX_URL_LENGTH = 4000;

/** Calls over tRPC: each with a time limit, repeated when that is safe and of use. */
export function createCaller(http: Http, settings: CallSettings): MakeCall {
  const trpc = createTrpc(http);
  let callsUnderWay = 0;

  return async function makeCall(call, options = {}) {
    const timeoutSeconds = (options.timeoutSeconds ?? settings.timeoutSeconds) + call.waitSeconds;
    const mustBeAlone = call.waitSeconds > 0 || call.path.endsWith('Many');
    const counts = call.waitSeconds === 0 ? 1 : 0;
    for (let attempt = 1; ; attempt++) {
      // The only caller needs no company and must not wait for any; a repeated call must not suffer from its neighbours.
      const isAlone = mustBeAlone || callsUnderWay === 0 || attempt > 1;
      callsUnderWay += counts;
      try {
        return await attemptCall(call, isAlone, timeoutSeconds, options.signal);
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

  async function attemptCall(call: Call, isAlone: boolean, timeoutSeconds: number, signal: AbortSignal | undefined) {
    const limit = limitTime(timeoutSeconds, signal);
    try {
      const answer = trpc[call.kind](call.path, call.input, { signal: limit.signal, context: { isAlone } });
      // A call in a batch ends only with the batch; its caller need not wait for that.
      return await Promise.race([answer, limit.passed]);
    } catch (error) {
      throw limit.signal.aborted ? limit.signal.reason : toClientError(error);
    } finally {
      limit.end();
    }
  }
}

function createTrpc(http: Http) {
  const options = {
    url: '',
    fetch: (path: unknown, init: unknown): Promise<HttpAnswer> =>
      // tRPC passes what `getUrl` and `getBody` made: a string, and an init with a string for a body.
      http.ask(`/trpc${String(path)}`, init as Parameters<Http['ask']>[1]),
  };
  return createTRPCUntypedClient<AnyTRPCRouter>({
    links: [
      splitLink({
        condition: (op) => op.context['isAlone'] === true,
        true: httpLink(options),
        false: httpBatchLink({ ...options, maxItems: BATCH_MAX_ITEMS, maxURLLength: BATCH_MAX_URL_LENGTH }),
      }),
    ],
  });
}

/** A refused call was not made. After anything else, only a call that may be made twice is made again. */
function mayRepeat(call: Call, error: unknown): boolean {
  if (call.isReplaySafe) return true;
  if (error instanceof ConnectionError) return !error.mayHaveArrived;
  return error instanceof OrchestratorError && error.code === 'RATE_LIMITED';
}

/** A signal that aborts with `signal`, or with a `TIMEOUT` after some seconds; `end()` lets go of both. */
function limitTime(seconds: number, signal: AbortSignal | undefined) {
  const controller = new AbortController();
  const passed = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
  });
  const onTimeout = () =>
    controller.abort(new ConnectionError(`No answer within ${seconds} seconds`, { code: 'TIMEOUT' }));
  const timer = setTimeout(onTimeout, seconds * 1000);
  const stopListening = onAbort(signal, () => controller.abort(signal?.reason));
  if (signal?.aborted) controller.abort(signal.reason);
  return {
    signal: controller.signal,
    passed,
    end() {
      clearTimeout(timer);
      stopListening();
    },
  };
}

function toClientError(error: unknown): unknown {
  if (!(error instanceof TRPCClientError)) return error;
  // Not an answer of the server: what `Http` threw, or an input that is not JSON.
  if (!error.shape) return error.cause ?? error;
  const data: unknown = error.shape.data;
  const response = error.meta?.['response'] as HttpAnswer | undefined;
  const facts = response ? factsOf(response) : {};
  // Of a batch, the status is that of all its calls.
  const status =
    isObject(data) && typeof data['httpStatus'] === 'number' ? data['httpStatus'] : (response?.status ?? 500);
  const code = isObject(data) && typeof data['code'] === 'string' ? (data['code'] as ErrorCode) : codeOfStatus(status);
  const details = isObject(data) && isObject(data['details']) ? data['details'] : null;
  return toError({ code, message: error.message, details } satisfies ErrorBody, { ...facts, status });
}

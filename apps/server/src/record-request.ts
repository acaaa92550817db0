import type { FastifyRequest } from 'fastify';
import type { Logger } from './logging.ts';
import type { Metrics } from './metrics.ts';
import type { Refusal } from './refusal.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Monotonic milliseconds. */
    startedAt: number;
    /** Of the span of the request; only there when it is traced. */
    traceId?: string;
  }
}

export interface Outcome {
  status: number;
  refusal?: Refusal | undefined;
  /** The caller asked to wait, so the time says nothing about the service. */
  isWaiting?: boolean;
}

/** Measures and logs one answered request. */
export type Record = (request: FastifyRequest, outcome: Outcome) => void;
export type RecorderOf = (method: string, operation: string) => Record;

const SLOW_MS = 1000;
/** Of the successes, one in so many is logged, and only at debug level. */
const SAMPLE = 100;

/** One line a failed or slow request; never a body, a header or a query string. */
export function createRecorders(options: { metrics: Metrics; logger: Logger }): RecorderOf {
  const { metrics, logger } = options;
  let successes = 0;

  function log(request: FastifyRequest, operation: string, ms: number, { status, refusal, isWaiting }: Outcome): void {
    const line = () => ({
      request_id: request.id,
      ...(request.traceId !== undefined && { trace_id: request.traceId }),
      method: request.method,
      path: request.url.split('?', 1)[0],
      operation,
      status,
      ms: Math.round(ms),
      ...(request.caller && { key_id: request.caller.key_id }),
      ...(refusal && { code: refusal.body.code, field: refusal.body.details?.field }),
      ...(refusal?.cause !== undefined && { err: refusal.cause }),
    });
    if (status >= 500) logger.error(line(), 'request failed');
    else if (status >= 400) logger.info(line(), 'request refused');
    else if (ms > SLOW_MS && !isWaiting) logger.warn(line(), 'slow request');
    else if (successes++ % SAMPLE === 0 && logger.isLevelEnabled('debug')) logger.debug(line(), 'request');
  }

  return (method, operation) => {
    const times = metrics.responseTimes(method, operation);
    return (request, outcome) => {
      const ms = performance.now() - request.startedAt;
      if (!outcome.isWaiting) times.observe(outcome.status, ms / 1000);
      log(request, operation, ms, outcome);
    };
  };
}

import { HTTP_STATUS, type ErrorBody, type ErrorCode } from '@task-orchestrator/contract';
import { describeOutage, DomainError, isOutage } from '@task-orchestrator/core';

/** An error as a caller may see it. */
export interface Refusal {
  readonly status: number;
  readonly body: ErrorBody;
  /** Answered as `Retry-After`, in seconds. */
  readonly retryAfterSeconds?: number;
  /** The bug or outage behind it, for the log alone. */
  readonly cause?: unknown;
}

/** The one place where errors become answers: domain refusals, what Fastify refuses itself, and bugs, which stay inside. */
export function toRefusal(error: unknown, requestId: string): Refusal {
  if (error instanceof DomainError) {
    const { details, ...body } = error.toBody();
    if (body.code !== 'INTERNAL_ERROR') return refuse({ ...body, details });
    return { ...refuse({ ...body, details: { ...details, request_id: requestId } }), cause: error };
  }
  const known = findFastifyRefusal(error);
  if (known) return refuse(known);
  if (isOutage(error)) {
    const message = `${describeOutage(error)}; try again`;
    return { ...refuse({ code: 'UNAVAILABLE', message, details: null }), cause: error };
  }
  return {
    ...refuse({ code: 'INTERNAL_ERROR', message: 'Internal error', details: { request_id: requestId } }),
    cause: error,
  };
}

function refuse(body: ErrorBody): Refusal {
  const seconds = body.details?.['retry_after_seconds'];
  const retryAfterSeconds = typeof seconds === 'number' ? Math.ceil(seconds) : RETRY_AFTER_SECONDS[body.code];
  const status = HTTP_STATUS[body.code];
  return retryAfterSeconds === undefined ? { status, body } : { status, body, retryAfterSeconds };
}

const RETRY_AFTER_SECONDS: Partial<Record<ErrorCode, number>> = { UNAVAILABLE: 1, RATE_LIMITED: 1 };

function findFastifyRefusal(error: unknown): ErrorBody | undefined {
  const { code = '', statusCode = 0 } = (error ?? {}) as { code?: unknown; statusCode?: unknown };
  const known = FASTIFY_REFUSALS[String(code)];
  if (known) return { code: known[0], message: known[1], details: null };
  // A body that breaks off arrives as an error of the stream with status 400.
  if (statusCode === 400) return { code: 'VALIDATION_ERROR', message: 'The request could not be read', details: null };
  return undefined;
}

const FASTIFY_REFUSALS: Partial<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_BAD_URL: ['VALIDATION_ERROR', 'The URL holds a malformed percent-encoding'],
  FST_ERR_MAX_PARAM_LENGTH: ['URI_TOO_LONG', 'The URL is too long'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['PAYLOAD_TOO_LARGE', 'The body is too large'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['VALIDATION_ERROR', 'The body has not the length that Content-Length says'],
};

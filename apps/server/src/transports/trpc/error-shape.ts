import type { ErrorBody, ErrorCode, ErrorDetails } from '@task-orchestrator/contract';
import { DomainError } from '@task-orchestrator/core';
import { TRPCError, type TRPC_ERROR_CODE_KEY } from '@trpc/server';
import { TRPC_ERROR_CODES_BY_KEY } from '@trpc/server/rpc';
import { toRefusal, type Refusal } from '../../refusal.ts';

/** An error as tRPC clients get it: JSON-RPC's number as `code`, what we have to say in `data`. */
export interface ErrorShape {
  message: string;
  code: number;
  data: { code: ErrorCode; httpStatus: number; details: ErrorDetails | null; path?: string };
}

export function toErrorShape({ status, body }: Refusal, path?: string): ErrorShape {
  const { code, message, details } = body;
  return {
    message,
    code: TRPC_ERROR_CODES_BY_KEY[TRPC_CODES[code]],
    data: { code, httpStatus: status, details, ...(path !== undefined && { path }) },
  };
}

/** What is behind an error of tRPC: our own refusal, one of the protocol, or a bug. */
export function unwrapTrpcError(error: TRPCError, requestId: string): Refusal {
  if (error.cause instanceof DomainError) return toRefusal(error.cause, requestId);
  const refused = PROTOCOL_REFUSALS[error.code];
  if (!refused) return toRefusal(error.cause ?? error, requestId);
  const body: ErrorBody = { code: refused[0], message: refused[1], details: null };
  return toRefusal(new DomainError(body.code, body.message), requestId);
}

const TRPC_CODES = {
  VALIDATION_ERROR: 'BAD_REQUEST',
  UNAUTHORIZED: 'UNAUTHORIZED',
  FORBIDDEN: 'FORBIDDEN',
  NOT_FOUND: 'NOT_FOUND',
  TASK_NOT_FOUND: 'NOT_FOUND',
  METHOD_NOT_ALLOWED: 'METHOD_NOT_SUPPORTED',
  STATUS_CONFLICT: 'CONFLICT',
  LEASE_LOST: 'CONFLICT',
  PROMPT_MISMATCH: 'CONFLICT',
  PAYLOAD_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  URI_TOO_LONG: 'BAD_REQUEST',
  UNSUPPORTED_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  IDEMPOTENCY_MISMATCH: 'UNPROCESSABLE_CONTENT',
  RATE_LIMITED: 'TOO_MANY_REQUESTS',
  INTERNAL_ERROR: 'INTERNAL_SERVER_ERROR',
  UNAVAILABLE: 'SERVICE_UNAVAILABLE',
} satisfies Record<ErrorCode, TRPC_ERROR_CODE_KEY>;

/** Said in our words: tRPC's own quote what the caller sent. */
const PROTOCOL_REFUSALS: Partial<Record<TRPC_ERROR_CODE_KEY, readonly [ErrorCode, string]>> = {
  NOT_FOUND: ['NOT_FOUND', 'No such operation'],
  METHOD_NOT_SUPPORTED: ['METHOD_NOT_ALLOWED', 'Queries travel by GET or POST, mutations by POST'],
  PARSE_ERROR: ['VALIDATION_ERROR', 'The input is not valid JSON'],
  BAD_REQUEST: ['VALIDATION_ERROR', 'The request could not be read'],
  UNSUPPORTED_MEDIA_TYPE: ['UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json'],
  PAYLOAD_TOO_LARGE: ['PAYLOAD_TOO_LARGE', 'The body is too large'],
};

import { HTTP_STATUS, type ErrorCode, type Operation } from '@task-orchestrator/contract';
import { referToHeaders } from './answer-headers.ts';
import type { ResponseObject } from './document-shape.ts';

/** Any operation may give these, beside its own. */
const ALWAYS: readonly ErrorCode[] = ['VALIDATION_ERROR', 'INTERNAL_ERROR', 'UNAVAILABLE'];
const WITH_KEY: readonly ErrorCode[] = ['UNAUTHORIZED', 'FORBIDDEN', 'RATE_LIMITED'];
const WITH_BODY: readonly ErrorCode[] = ['PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'];
const RETRIED: readonly ErrorCode[] = ['RATE_LIMITED', 'UNAVAILABLE'];

export interface RefusalResponses {
  /** By HTTP status. */
  of(operation: Operation): Record<string, ResponseObject | { $ref: string }>;
  /** The responses referred to, by error code. */
  list(): Record<string, ResponseObject>;
}

/** OpenAPI has one response a status: a code alone is referred to, codes that share a status are told together. */
export function createRefusalResponses(): RefusalResponses {
  const used = new Set<ErrorCode>();

  function describe(codes: readonly ErrorCode[]): ResponseObject | { $ref: string } {
    const [code] = codes;
    if (codes.length > 1 || code === undefined) return describeCodes(codes);
    used.add(code);
    return { $ref: `#/components/responses/${code}` };
  }

  return {
    of(operation) {
      const byStatus = Map.groupBy(listCodes(operation), (code) => HTTP_STATUS[code]);
      return Object.fromEntries([...byStatus].map(([status, codes]) => [String(status), describe(codes)]));
    },
    list: () => Object.fromEntries([...used].sort().map((code) => [code, describeCodes([code])])),
  };
}

function listCodes({ errors = [], isPublic, method }: Operation): ErrorCode[] {
  return [...ALWAYS, ...(isPublic ? [] : WITH_KEY), ...(method === 'GET' ? [] : WITH_BODY), ...errors];
}

function describeCodes(codes: readonly ErrorCode[]): ResponseObject {
  return {
    description: codes.map((code) => `\`${code}\`: ${MEANINGS[code]}`).join('; '),
    ...(codes.some((code) => RETRIED.includes(code)) && { headers: referToHeaders(['Retry-After']) }),
    content: {
      'application/json': {
        schema: { $ref: '#/components/schemas/ErrorEnvelope' },
        examples: Object.fromEntries(codes.map((code) => [code, { value: exampleOf(code) }])),
      },
    },
  };
}

function exampleOf(code: ErrorCode) {
  const invalid = { field: 'work_directory', message: 'Work directory must be an absolute path' };
  const error =
    code === 'VALIDATION_ERROR'
      ? { code, message: 'Invalid input data', details: { ...invalid, errors: [invalid] } }
      : { code, message: MEANINGS[code], details: null };
  return { success: false, data: null, error, timestamp: '2024-01-01T00:00:00.000Z' };
}

const MEANINGS = {
  VALIDATION_ERROR: 'A field is missing or not allowed; `details` names it, `details.errors` names all',
  UNAUTHORIZED: 'No key, or one that is not valid',
  FORBIDDEN: 'The roles or path prefixes of the key do not allow this',
  NOT_FOUND: 'No such thing',
  TASK_NOT_FOUND: 'No such task',
  METHOD_NOT_ALLOWED: 'The path has other methods; `Allow` names them',
  STATUS_CONFLICT: 'The task, or the key, is in a state that does not allow this',
  LEASE_LOST: 'The lease has ended; nothing was changed',
  PROMPT_MISMATCH: '`original_prompt` differs from the prompt of the task',
  PAYLOAD_TOO_LARGE: 'The body is too large',
  URI_TOO_LONG: 'The URL is too long',
  UNSUPPORTED_MEDIA_TYPE: 'The body is not application/json',
  IDEMPOTENCY_MISMATCH: 'The idempotency key stands for a task with another body',
  RATE_LIMITED: 'Too many requests for this key',
  INTERNAL_ERROR: 'The server failed; `details.request_id` finds out why in its log',
  UNAVAILABLE: 'The service cannot answer now',
} satisfies Record<ErrorCode, string>;

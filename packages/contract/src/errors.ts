import { z } from 'zod';

/** Every error code a caller can meet, with the HTTP status it travels under. */
export const HTTP_STATUS = {
  VALIDATION_ERROR: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  TASK_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  STATUS_CONFLICT: 409,
  LEASE_LOST: 409,
  PROMPT_MISMATCH: 409,
  PAYLOAD_TOO_LARGE: 413,
  URI_TOO_LONG: 414,
  UNSUPPORTED_MEDIA_TYPE: 415,
  IDEMPOTENCY_MISMATCH: 422,
  RATE_LIMITED: 429,
  INTERNAL_ERROR: 500,
  UNAVAILABLE: 503,
} as const;

export type ErrorCode = keyof typeof HTTP_STATUS;
export const ErrorCode = z.enum(Object.keys(HTTP_STATUS) as [ErrorCode, ...ErrorCode[]]);

/** One invalid field: its path (`tasks.3.prompt`) and what is wrong and allowed. */
export const FieldError = z.object({ field: z.string(), message: z.string() });
export type FieldError = z.infer<typeof FieldError>;

/** The first invalid field, and all of them in `errors`; or further facts of the refusal. */
export const ErrorDetails = z.looseObject({
  field: z.string().optional(),
  message: z.string().optional(),
  errors: z.array(FieldError).optional(),
  request_id: z.string().optional(),
});
export type ErrorDetails = z.infer<typeof ErrorDetails>;

/** What every door answers when it refuses. */
export const ErrorBody = z
  .object({ code: ErrorCode, message: z.string(), details: ErrorDetails.nullable() })
  .meta({ id: 'Error' });
export type ErrorBody = z.infer<typeof ErrorBody>;

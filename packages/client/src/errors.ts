import type { ErrorBody, ErrorCode, HttpStatusOf } from './wire.ts';

/** Codes that only the client gives: no answer arrived, a task was cancelled, or the worker was stopped. */
export type ClientErrorCode = 'CONNECTION_ERROR' | 'TIMEOUT' | 'TASK_CANCELLED' | 'WORKER_STOPPED';

/** What an error knows besides its message. */
export interface ErrorFacts {
  readonly code: ErrorCode | ClientErrorCode;
  readonly message: string;
  /** HTTP status; null when no answer arrived. */
  readonly status: number | null;
  readonly details?: ErrorBody['details'];
  readonly requestId?: string | null;
  readonly retryAfterSeconds?: number | null;
  readonly cause?: unknown;
}

/** Base of all errors that the client throws. `code` names what happened; the subclass says the same by its type. */
export class OrchestratorError extends Error {
  readonly code: ErrorCode | ClientErrorCode;
  /** HTTP status; null when no answer arrived. */
  readonly status: number | null;
  /** Further facts: of a `ValidationError`, the first invalid field, and all of them in `details.errors`. */
  readonly details: ErrorBody['details'];
  /** Finds the request in the log of the server; null when no answer arrived. */
  readonly requestId: string | null;

  constructor(facts: ErrorFacts) {
    super(facts.message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.code = facts.code;
    this.status = facts.status;
    this.details = facts.details ?? null;
    this.requestId = facts.requestId ?? null;
  }

  /** Whether the same call may succeed a little later. */
  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }
}

const RETRYABLE = new Set<string>(['UNAVAILABLE', 'RATE_LIMITED', 'CONNECTION_ERROR', 'TIMEOUT']);

/** The input breaks a rule; `details.errors` names every field. */
export class ValidationError extends OrchestratorError {}
/** No key, or one that the server does not know. */
export class UnauthorizedError extends OrchestratorError {}
/** The key may not do this, or not on this path. */
export class ForbiddenError extends OrchestratorError {}
/** No such thing, or no such route: the URL may be wrong. */
export class NotFoundError extends OrchestratorError {}
/** No such task, or none that this key may see. */
export class TaskNotFoundError extends NotFoundError {}
/** The status of the task does not allow this; the message says what is allowed. */
export class StatusConflictError extends OrchestratorError {}
/** The lease ended and the task may have another holder: nothing was changed. */
export class LeaseLostError extends OrchestratorError {}
/** `original_prompt` differs from the prompt of the task. */
export class PromptMismatchError extends OrchestratorError {}
/** The request, or one of its fields, is larger than the server takes. */
export class PayloadTooLargeError extends OrchestratorError {}
/** The idempotency key stands for a task with another body. */
export class IdempotencyMismatchError extends OrchestratorError {}
/** The server failed; `requestId` finds out why in its log. */
export class InternalError extends OrchestratorError {}

/** The server, or what stands before it, cannot answer now. */
export class UnavailableError extends OrchestratorError {
  readonly retryAfterSeconds: number | null;
  constructor(facts: ErrorFacts) {
    super(facts);
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null;
  }
}

/** Too many requests for this key. */
export class RateLimitedError extends OrchestratorError {
  /** When to come back; null when the server did not say. */
  readonly retryAfterSeconds: number | null;
  constructor(facts: ErrorFacts) {
    super(facts);
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null;
  }
}

/** No answer arrived: the server was not reached, or the connection broke, or the time was up (`TIMEOUT`). */
export class ConnectionError extends OrchestratorError {
  /** The server may have done what it was asked. */
  readonly mayHaveArrived: boolean;
  constructor(
    message: string,
    options: { code?: 'CONNECTION_ERROR' | 'TIMEOUT'; mayHaveArrived?: boolean; cause?: unknown } = {},
  ) {
    super({ code: options.code ?? 'CONNECTION_ERROR', message, status: null, cause: options.cause });
    this.mayHaveArrived = options.mayHaveArrived ?? true;
  }
}

/** Reason of a handler's `signal`: someone cancelled the task. */
export class TaskCancelledError extends OrchestratorError {
  /** What the one who cancelled gave as the reason. */
  readonly reason: string | null;
  constructor(taskId: string, reason: string | null) {
    super({
      code: 'TASK_CANCELLED',
      message: `task ${taskId} is cancelled${reason ? `: ${reason}` : ''}`,
      status: null,
    });
    this.reason = reason;
  }
}

/** Reason of a handler's `signal`: the worker stops and the handler did not end in time. The task is given back. */
export class WorkerStoppedError extends OrchestratorError {
  constructor(message = 'the worker is stopping') {
    super({ code: 'WORKER_STOPPED', message, status: null });
  }
}

/** Thrown by a handler: the task has failed for good, whatever attempts are left. */
export class NonRetryableError extends Error {
  override readonly name: string = 'NonRetryableError';
  readonly retryable = false;
}

type ErrorType = new (facts: ErrorFacts) => OrchestratorError;

const BY_CODE = {
  VALIDATION_ERROR: { status: 400, type: ValidationError },
  UNAUTHORIZED: { status: 401, type: UnauthorizedError },
  FORBIDDEN: { status: 403, type: ForbiddenError },
  NOT_FOUND: { status: 404, type: NotFoundError },
  TASK_NOT_FOUND: { status: 404, type: TaskNotFoundError },
  METHOD_NOT_ALLOWED: { status: 405, type: OrchestratorError },
  STATUS_CONFLICT: { status: 409, type: StatusConflictError },
  LEASE_LOST: { status: 409, type: LeaseLostError },
  PROMPT_MISMATCH: { status: 409, type: PromptMismatchError },
  PAYLOAD_TOO_LARGE: { status: 413, type: PayloadTooLargeError },
  URI_TOO_LONG: { status: 414, type: OrchestratorError },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, type: OrchestratorError },
  IDEMPOTENCY_MISMATCH: { status: 422, type: IdempotencyMismatchError },
  RATE_LIMITED: { status: 429, type: RateLimitedError },
  INTERNAL_ERROR: { status: 500, type: InternalError },
  UNAVAILABLE: { status: 503, type: UnavailableError },
} satisfies { [Code in ErrorCode]: { status: HttpStatusOf[Code]; type: ErrorType } };

/** The error that a refusal of the server stands for; codes of a newer server become an `OrchestratorError`. */
export function toError(body: ErrorBody, facts: Partial<ErrorFacts> = {}): OrchestratorError {
  const known = Object.hasOwn(BY_CODE, body.code) ? BY_CODE[body.code] : { status: 500, type: OrchestratorError };
  return new known.type({
    requestId: body.details?.request_id ?? null,
    status: known.status,
    ...facts,
    code: body.code,
    message: describe(body),
    details: body.details,
  });
}

/** Names the first invalid field, so that a log line is enough to find it. */
function describe({ message, details }: ErrorBody): string {
  return details?.field && details.message ? `${message}: ${details.field} ${details.message}` : message;
}

/** The code of an answer that did not come from the service itself but from a proxy, say. */
export function codeOfStatus(status: number): ErrorCode {
  if (status === 502 || status === 504) return 'UNAVAILABLE';
  const codes = Object.keys(BY_CODE) as ErrorCode[];
  return codes.find((code) => BY_CODE[code].status === status) ?? 'INTERNAL_ERROR';
}

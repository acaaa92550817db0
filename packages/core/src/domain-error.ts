import type { ErrorBody, ErrorCode, ErrorDetails } from '@task-orchestrator/contract';

/** A refusal that the caller is meant to see. Anything else that is thrown is a bug or an outage. */
export class DomainError extends Error {
  override readonly name = 'DomainError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails | null;

  constructor(code: ErrorCode, message: string, details: ErrorDetails | null = null) {
    super(message);
    this.code = code;
    this.details = details;
  }

  toBody(): ErrorBody {
    return { code: this.code, message: this.message, details: this.details };
  }
}

/** An input that only the core can judge (its size as JSON, a task it refers to). */
export function invalidField(field: string, message: string): DomainError {
  return new DomainError('VALIDATION_ERROR', 'Invalid input data', { field, message, errors: [{ field, message }] });
}

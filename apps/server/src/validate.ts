import type { Operation } from '@task-orchestrator/contract';
import { DomainError } from '@task-orchestrator/core';
import { describeIssue, listFieldErrors } from './describe-issue.ts';

const MAX_LISTED = 1000;
const HUMAN_MESSAGES = { error: describeIssue };

/** The input as the operation's schema gives it, defaults filled in. Throws `VALIDATION_ERROR` naming every invalid field. */
export function validateInput(operation: Pick<Operation, 'input'>, input: unknown): unknown {
  const parsed = operation.input.safeParse(input, HUMAN_MESSAGES);
  if (parsed.success) return parsed.data;
  const errors = listFieldErrors(parsed.error.issues).slice(0, MAX_LISTED);
  throw new DomainError('VALIDATION_ERROR', 'Invalid input data', { ...errors[0], errors });
}

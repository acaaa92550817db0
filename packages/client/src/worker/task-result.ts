import { isObject } from '../http.ts';
import type { Input } from '../client.ts';

type TaskResult = NonNullable<Input<'tasks', 'complete'>['result']>;
type Failure = Pick<Input<'tasks', 'fail'>, 'error' | 'retryable' | 'retry_after_seconds'>;

/**
 * What a handler returned, as the result of its task. An object with a `status` of `success` or `failure`, or with
 * an `output` and no `status`, is the result itself; anything else is the output of a success.
 */
export function toResult(value: unknown): TaskResult {
  if (value === undefined) return { status: 'success' };
  return isResult(value) ? value : { status: 'success', output: value };
}

function isResult(value: unknown): value is TaskResult {
  if (!isObject(value) || Array.isArray(value)) return false;
  const { status } = value;
  return status === 'success' || status === 'failure' || (status === undefined && 'output' in value);
}

/** Bounds of the contract. */
const CODE_MAX = 100;
const MESSAGE_MAX = 10_000;
const RETRY_AFTER_MAX = 604_800;

/** What a handler threw, as the failure of its task: `code`, `retryable` and `retryAfterSeconds` of the error count. */
export function toFailure(thrown: unknown): Failure {
  const { code, retryable, retryAfterSeconds }: Record<string, unknown> = isObject(thrown) ? thrown : {};
  return {
    error: {
      ...(typeof code === 'string' && code !== '' && { code: code.slice(0, CODE_MAX) }),
      message: textOf(thrown).slice(0, MESSAGE_MAX) || 'The handler failed',
    },
    retryable: retryable !== false,
    ...(isDuration(retryAfterSeconds) && { retry_after_seconds: Math.min(retryAfterSeconds, RETRY_AFTER_MAX) }),
  };
}

/** The message of what was thrown, whatever that is. */
export function textOf(thrown: unknown): string {
  if (!isObject(thrown)) return String(thrown);
  return typeof thrown['message'] === 'string' ? thrown['message'] : 'The handler threw something that is no error';
}

function isDuration(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}

import type { TaskError } from '@task-orchestrator/contract';
import type { Commit } from '../commit/commit.ts';
import type { LeaseState } from '../db/schema.ts';
import { retryDelayMs } from '../domain/backoff.ts';
import type { ControlRow } from './task-row.ts';

/** Ends an attempt that went wrong: another one after a while, or `failed`, or `cancelled` if that was asked for. */
export function failAttempt(
  commit: Commit,
  task: ControlRow,
  failure: { error: TaskError; retryAfterMs?: number | undefined; leaseState: LeaseState; result?: string },
): void {
  const { error, leaseState } = failure;
  const ended = {
    lease_state: leaseState,
    lease_expires_at: null,
    error: JSON.stringify(error),
    result: failure.result ?? null,
  };
  if (task.cancel_requested) {
    commit.change('cancelled', task, { ...ended, status: 'cancelled', finished_at: commit.now }, { error });
  } else if (error.retryable && task.attempt < task.max_attempts) {
    const delay = failure.retryAfterMs ?? retryDelayMs(task.attempt, commit.random());
    const run_at = commit.now + delay;
    const status = delay > 0 ? 'scheduled' : 'waiting';
    commit.change(
      'attempt_failed',
      task,
      { ...ended, status, run_at },
      { error, run_at: new Date(run_at).toISOString() },
    );
  } else {
    commit.change('failed', task, { ...ended, status: 'failed', finished_at: commit.now }, { error });
  }
}

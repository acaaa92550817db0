import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { defineStatement } from '../db/engine.ts';
import { isFinished } from '../domain/task-state.ts';
import { sql } from 'kysely';
import { settleDependants } from './dependants.ts';
import { failAttempt } from './finish-attempt.ts';
import { attemptDeadline } from './heartbeat.ts';
import { CONTROL_COLUMNS, type ControlRow } from './task-row.ts';

/** Uses the index tasks_lease. */
export const expiredLeases = defineStatement<[now: number, limit: number], ControlRow>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(CONTROL_COLUMNS)
    .where('status', '=', sql.lit('working'))
    .where('lease_expires_at', '<=', arg(0))
    .orderBy('lease_expires_at')
    .limit(arg(1))
    .modifyEnd(dialect.forUpdateSkipLocked),
);

/** Takes back up to `limit` tasks whose leases have run out by `before`, and answers how many. */
export const expireLeases = defineVerb<{ before: number; limit: number }, number>({
  stage: 0,
  async run(commit, items) {
    const outcomes: number[] = [];
    for (const { before, limit } of items) {
      const tasks = await commit.tx.all(expiredLeases, [Math.min(before, commit.now), limit]);
      for (const task of tasks) expireLease(commit, task);
      await commit.flush();
      await settleDependants(
        commit,
        tasks.filter(({ status }) => isFinished(status)),
      );
      outcomes.push(tasks.length);
    }
    return outcomes;
  },
});

function expireLease(commit: Commit, task: ControlRow): void {
  if (commit.now >= attemptDeadline(task)) {
    const message = `the attempt took longer than its timeout of ${task.timeout_seconds} s`;
    failAttempt(commit, task, { error: { code: 'TIMEOUT', message, retryable: true }, leaseState: 'expired' });
    return;
  }
  const error = {
    code: 'LEASE_LOST',
    message: `worker ${task.worker_id} stopped extending its lease`,
    retryable: true,
  };
  if (task.cancel_requested || task.attempt >= task.max_attempts) {
    failAttempt(commit, task, { error, leaseState: 'expired' });
  } else {
    // Without backoff: the task is not to blame, and somebody waits for it.
    const ended = { lease_state: 'expired' as const, lease_expires_at: null, error: JSON.stringify(error) };
    commit.change('lease_lost', task, { ...ended, status: 'waiting' }, { error });
  }
}

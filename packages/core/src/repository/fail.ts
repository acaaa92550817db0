import type { FailInput, TaskReceipt } from '@task-orchestrator/contract';
import { defineVerb } from '../commit/commit-queue.ts';
import { refuseLease } from '../domain/task-state.ts';
import { finishedSince, settleDependants } from './dependants.ts';
import { failAttempt } from './finish-attempt.ts';
import { hasLease } from './heartbeat.ts';
import { decideEach, lockTasks } from './load-tasks.ts';
import { toReceipt } from './task-row.ts';

/** Ends attempts that their workers report as failed. */
export const failTasks = defineVerb<FailInput, TaskReceipt>({
  stage: 0,
  async run(commit, items) {
    const tasks = await lockTasks(
      commit.tx,
      items.map(({ task_id }) => task_id),
    );
    const before = commit.changes.length;
    const outcomes = decideEach(items, tasks, (task, item) => {
      const isReplay = task.lease_state === 'failed' && task.lease_token === item.lease_token;
      if (isReplay) return toReceipt(task);
      if (!hasLease(task, item.lease_token)) throw refuseLease(task.task_id, task.status);
      failAttempt(commit, task, {
        error: { ...item.error, retryable: item.retryable },
        retryAfterMs: item.retry_after_seconds === undefined ? undefined : Math.round(item.retry_after_seconds * 1000),
        leaseState: 'failed',
      });
      return toReceipt(task);
    });
    await settleDependants(commit, finishedSince(commit, before));
    return outcomes;
  },
});

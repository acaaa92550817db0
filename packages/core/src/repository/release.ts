import type { ReleaseInput, TaskReceipt } from '@task-orchestrator/contract';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { refuseLease } from '../domain/task-state.ts';
import { finishedSince, settleDependants } from './dependants.ts';
import { hasLease } from './heartbeat.ts';
import { decideEach, lockTasks } from './load-tasks.ts';
import { toReceipt, type ControlRow } from './task-row.ts';

/** Gives tasks back untouched: the attempt does not count, and the place in the order is kept. */
export const releaseTasks = defineVerb<ReleaseInput, TaskReceipt>({
  stage: 0,
  async run(commit, items) {
    const tasks = await lockTasks(
      commit.tx,
      items.map(({ task_id }) => task_id),
    );
    const before = commit.changes.length;
    const outcomes = decideEach(items, tasks, (task, item) => {
      const isReplay = task.lease_state === 'released' && task.lease_token === item.lease_token;
      if (isReplay) return toReceipt(task);
      if (!hasLease(task, item.lease_token)) throw refuseLease(task.task_id, task.status);
      release(commit, task, item.reason);
      return toReceipt(task);
    });
    await settleDependants(commit, finishedSince(commit, before));
    return outcomes;
  },
});

function release(commit: Commit, task: ControlRow, reason: string | undefined): void {
  const ended = { lease_state: 'released' as const, lease_expires_at: null, progress: null };
  if (task.cancel_requested) {
    commit.change('cancelled', task, { ...ended, status: 'cancelled', finished_at: commit.now });
  } else {
    commit.change(
      'released',
      task,
      { ...ended, status: 'waiting', attempt: task.attempt - 1 },
      reason === undefined ? null : { reason },
    );
  }
}

import type { CancelInput } from '@task-orchestrator/contract';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { canTransition, refuseStatus } from '../domain/task-state.ts';
import { finishedSince, settleDependants } from './dependants.ts';
import { decideEach, lockWholeTasks } from './load-tasks.ts';
import type { TaskRow } from './task-row.ts';

/** Cancels tasks: at once, or by telling the worker of a working one. Cancelling again changes nothing. */
export const cancelTasks = defineVerb<CancelInput, TaskRow>({
  stage: 0,
  async run(commit, items) {
    const tasks = await lockWholeTasks(
      commit.tx,
      items.map(({ task_id }) => task_id),
    );
    const before = commit.changes.length;
    const outcomes = decideEach(items, tasks, (task, item) => {
      if (task.status !== 'cancelled') cancel(commit, task, item);
      return { ...task };
    });
    await settleDependants(commit, finishedSince(commit, before));
    return outcomes;
  },
});

function cancel(commit: Commit, task: TaskRow, { reason, force }: CancelInput): void {
  if (!canTransition('cancelled', task.status)) throw refuseStatus(task.task_id, task.status, 'cancelled');
  const cancel_reason = reason ?? task.cancel_reason;
  const data = cancel_reason === null ? null : { reason: cancel_reason };
  if (task.status === 'working' && !force) {
    if (task.cancel_requested) return;
    commit.change('cancel_requested', task, { cancel_requested: 1, cancel_reason }, data);
    return;
  }
  // Whoever still works on it, or comes late with a result, has lost the lease.
  const ended = { lease_state: 'revoked' as const, lease_expires_at: null, cancel_reason, finished_at: commit.now };
  commit.change('cancelled', task, { ...ended, status: 'cancelled' }, data);
}

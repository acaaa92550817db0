import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { judgeDependencies } from '../domain/dependencies.ts';
import { canTransition, refuseStatus } from '../domain/task-state.ts';
import { dependencyStates } from './dependants.ts';
import { decideEach, lockWholeTasks } from './load-tasks.ts';
import type { TaskRow } from './task-row.ts';

/** Brings failed and cancelled tasks back with fresh attempts; one whose dependencies are not met waits for them. */
export const retryTasks = defineVerb<{ task_id: string }, TaskRow>({
  stage: 1,
  async run(commit, items) {
    const tasks = await lockWholeTasks(
      commit.tx,
      items.map(({ task_id }) => task_id),
    );
    const seqs = [...tasks.values()].filter(({ depends_on }) => depends_on !== null).map(({ seq }) => seq);
    const states = seqs.length === 0 ? [] : await commit.tx.all(dependencyStates, [JSON.stringify(seqs)]);
    const byDependant = Map.groupBy(states, ({ task_seq }) => task_seq);
    return decideEach(items, tasks, (task) => {
      if (!canTransition('retried', task.status)) throw refuseStatus(task.task_id, task.status, 'retried');
      // A dependency that is retried with it is open again.
      const statuses = (byDependant.get(task.seq) ?? []).map(
        ({ task_id, status }) => tasks.get(task_id)?.status ?? status,
      );
      retry(commit, task, judgeDependencies(statuses, task.on_dependency_failure) !== 'met');
      return { ...task };
    });
  },
});

function retry(commit: Commit, task: TaskRow, isBlocked: boolean): void {
  commit.change('retried', task, {
    status: isBlocked ? 'blocked' : 'waiting',
    attempt: 0,
    run_at: commit.now,
    lease_state: 'revoked',
    cancel_requested: 0,
    cancel_reason: null,
    progress: null,
    result: null,
    error: null,
    finished_at: null,
  });
}

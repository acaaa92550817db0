import type { Task } from '@task-orchestrator/contract';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { defineStatement } from '../db/engine.ts';
import { canTransition, refuseStatus } from '../domain/task-state.ts';
import { decideEach, lockWholeTasks } from './load-tasks.ts';
import { toTask, type TaskRow } from './task-row.ts';

const openDependencies = defineStatement<[dependants: string], { task_seq: number }>((kysely, arg, dialect) =>
  kysely
    .selectFrom('task_dependencies')
    .innerJoin('tasks as dependency', 'dependency.seq', 'task_dependencies.depends_on_seq')
    .innerJoin('tasks as dependant', 'dependant.seq', 'task_dependencies.task_seq')
    .select('task_dependencies.task_seq')
    .distinct()
    .where(({ ref }) => dialect.inIntegers(ref('task_dependencies.task_seq'), arg(0)))
    .where(({ and, or, eb }) =>
      and([
        eb('dependency.status', '!=', 'completed'),
        // A dependant that runs in any case only waits for those that have not ended.
        or([eb('dependant.on_dependency_failure', '=', 'cancel'), eb('dependency.finished_at', 'is', null)]),
      ]),
    ),
);

/** Brings failed and cancelled tasks back with fresh attempts; one whose dependencies are not met waits for them. */
export const retryTasks = defineVerb<{ task_id: string }, Task>({
  stage: 1,
  async run(commit, items) {
    const tasks = await lockWholeTasks(
      commit.tx,
      items.map(({ task_id }) => task_id),
    );
    const seqs = [...tasks.values()].filter(({ depends_on }) => depends_on !== null).map(({ seq }) => seq);
    const open = seqs.length === 0 ? [] : await commit.tx.all(openDependencies, [JSON.stringify(seqs)]);
    const blocked = new Set(open.map(({ task_seq }) => task_seq));
    return decideEach(items, tasks, (task) => {
      if (!canTransition('retried', task.status)) throw refuseStatus(task.task_id, task.status, 'retried');
      retry(commit, task, blocked.has(task.seq));
      return toTask(task);
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

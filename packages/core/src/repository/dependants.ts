import type { TaskStatus } from '@task-orchestrator/contract';
import type { Commit } from '../commit/commit.ts';
import { defineStatement } from '../db/engine.ts';
import { judgeDependencies } from '../domain/dependencies.ts';
import { isFinished } from '../domain/task-state.ts';
import { CONTROL_COLUMNS, type ControlRow } from './task-row.ts';

const blockedDependants = defineStatement<[finished: string], ControlRow>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(CONTROL_COLUMNS)
    .where('seq', 'in', (query) =>
      query
        .selectFrom('task_dependencies')
        .select('task_seq')
        .where(({ ref }) => dialect.inIntegers(ref('depends_on_seq'), arg(0))),
    )
    .where('status', '=', 'blocked')
    .orderBy('seq')
    .modifyEnd(dialect.forUpdate),
);

/** Of each dependant every task that it depends on, with its state. */
export const dependencyStates = defineStatement<
  [dependants: string],
  { task_seq: number; task_id: string; status: TaskStatus }
>((kysely, arg, dialect) =>
  kysely
    .selectFrom('task_dependencies')
    .innerJoin('tasks', 'tasks.seq', 'task_dependencies.depends_on_seq')
    .select(['task_dependencies.task_seq', 'tasks.task_id', 'tasks.status'])
    .where(({ ref }) => dialect.inIntegers(ref('task_dependencies.task_seq'), arg(0))),
);

type Finished = Pick<ControlRow, 'seq'>;

/** Tasks that have finished with the changes from `before` on; those that had finished already are settled. */
export function finishedSince(commit: Commit, before: number): Finished[] {
  const tasks = commit.changes.slice(before).map(({ task }) => task);
  return tasks.filter(({ status }) => isFinished(status));
}

/**
 * Lets the dependants of finished tasks go on, or cancels them, and theirs in turn.
 * @param known rows that the caller answers with, by `seq`: they are the ones that change
 */
export async function settleDependants(
  commit: Commit,
  finished: readonly Finished[],
  known: ReadonlyMap<number, ControlRow> = new Map(),
): Promise<void> {
  for (let frontier = finished; frontier.length > 0;) {
    await commit.flush();
    const dependants = await commit.tx.all(blockedDependants, [JSON.stringify(frontier.map(({ seq }) => seq))]);
    if (dependants.length === 0) return;
    frontier = await settleBlocked(
      commit,
      dependants.map((row) => known.get(row.seq) ?? row),
    );
  }
}

/** @returns the tasks that were cancelled. */
export async function settleBlocked(commit: Commit, blocked: readonly ControlRow[]): Promise<ControlRow[]> {
  const states = await commit.tx.all(dependencyStates, [JSON.stringify(blocked.map(({ seq }) => seq))]);
  const byDependant = Map.groupBy(states, ({ task_seq }) => task_seq);
  return blocked.filter((task) => {
    const dependencies = byDependant.get(task.seq) ?? [];
    const verdict = judgeDependencies(
      dependencies.map(({ status }) => status),
      task.on_dependency_failure,
    );
    if (verdict === 'met') {
      commit.change('ready', task, { status: task.run_at > commit.now ? 'scheduled' : 'waiting' });
    } else if (verdict === 'failed') {
      const culprit = dependencies.find(({ status }) => status === 'failed' || status === 'cancelled');
      const cancel_reason = `dependency ${culprit?.task_id} is ${culprit?.status}`;
      commit.change(
        'cancelled',
        task,
        { status: 'cancelled', cancel_reason, finished_at: commit.now },
        { reason: cancel_reason },
      );
    }
    return verdict === 'failed';
  });
}

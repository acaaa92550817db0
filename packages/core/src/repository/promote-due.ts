import { sql } from 'kysely';
import { defineVerb } from '../commit/commit-queue.ts';
import { defineStatement } from '../db/engine.ts';
import { CONTROL_COLUMNS, type ControlRow } from './task-row.ts';

/** Uses the index tasks_scheduled. */
export const dueTasks = defineStatement<[now: number, limit: number], ControlRow>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(CONTROL_COLUMNS)
    .where('status', '=', sql.lit('scheduled'))
    .where('run_at', '<=', arg(0))
    .orderBy('run_at')
    .orderBy('seq')
    .limit(arg(1))
    .modifyEnd(dialect.forUpdateSkipLocked),
);

/** When the next scheduled task is due; uses the index tasks_scheduled. */
export const nextDue = defineStatement<[], { run_at: number }>((kysely) =>
  kysely
    .selectFrom('tasks')
    .select('run_at')
    .where('status', '=', sql.lit('scheduled'))
    .orderBy('run_at')
    .orderBy('seq')
    .limit(1),
);

/** Makes up to `limit` tasks ready whose time has come, and answers how many. */
export const promoteDue = defineVerb<{ limit: number }, number>({
  stage: 1,
  async run(commit, items) {
    const outcomes: number[] = [];
    for (const { limit } of items) {
      const tasks = await commit.tx.all(dueTasks, [commit.now, limit]);
      for (const task of tasks) commit.change('ready', task, { status: 'waiting' });
      await commit.flush();
      outcomes.push(tasks.length);
    }
    return outcomes;
  },
});

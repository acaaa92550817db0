import type { TaskStatus } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import { defineVerb } from '../commit/commit-queue.ts';
import { defineStatement } from '../db/engine.ts';

const HOUR_MS = 3_600_000;

/**
 * Uses the index tasks_finished. What stays: a task whose idempotency key still stands, one that a blocked task waits
 * for, and the newest one, so that its growing key is not given out again; the same goes for that of the newest event.
 */
export const removableTasks = defineStatement<
  [before: number, now: number, limit: number],
  { seq: number; status: TaskStatus }
>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(['seq', 'status'])
    .where('finished_at', '<', arg(0))
    .where(({ or, eb }) =>
      or([
        eb('idempotency_key', 'is', null),
        eb('idempotency_window_hours', '<=', sql<number>`(${arg(1)} - finished_at) / ${sql.lit(HOUR_MS)}`),
      ]),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('task_dependencies')
            .innerJoin('tasks as dependant', 'dependant.seq', 'task_dependencies.task_seq')
            .select('dependant.seq')
            .whereRef('task_dependencies.depends_on_seq', '=', 'tasks.seq')
            .where('dependant.status', '=', sql.lit('blocked')),
        ),
      ),
    )
    .where('seq', '<', ({ selectFrom }) =>
      selectFrom('tasks as any_task').select(({ fn }) => fn.max('any_task.seq').as('newest')),
    )
    .where('seq', '!=', ({ selectFrom }) =>
      selectFrom('events').select('task_seq').orderBy('events.seq', 'desc').limit(1),
    )
    .orderBy('finished_at')
    .limit(arg(2))
    .modifyEnd(dialect.forUpdateSkipLocked),
);

/** Removes up to `limit` tasks that finished before a time, with their logs and events; answers how many. */
export const removeFinished = defineVerb<{ finishedBefore: number; limit: number }, number>({
  stage: 0,
  async run(commit, items) {
    const { kysely } = commit.tx;
    const outcomes: number[] = [];
    for (const { finishedBefore, limit } of items) {
      const rows = await commit.tx.all(removableTasks, [finishedBefore, commit.now, limit]);
      const seqs = rows.map(({ seq }) => seq);
      if (seqs.length > 0) {
        await kysely.deleteFrom('events').where('task_seq', 'in', seqs).execute();
        await kysely.deleteFrom('task_logs').where('task_seq', 'in', seqs).execute();
        await kysely.deleteFrom('task_dependencies').where('depends_on_seq', 'in', seqs).execute();
        await kysely.deleteFrom('task_dependencies').where('task_seq', 'in', seqs).execute();
        await kysely.deleteFrom('tasks').where('seq', 'in', seqs).execute();
      }
      commit.removed.push(...rows.map(({ status }) => status));
      outcomes.push(seqs.length);
    }
    return outcomes;
  },
});

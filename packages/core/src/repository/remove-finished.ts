import { defineVerb } from '../commit/commit-queue.ts';
import { defineStatement } from '../db/engine.ts';

/** Uses the index tasks_finished. A task whose idempotency key stands for ever stays. */
export const removableTasks = defineStatement<[before: number, limit: number], { seq: number }>((kysely, arg) =>
  kysely
    .selectFrom('tasks')
    .select('seq')
    .where('finished_at', '<', arg(0))
    .where(({ or, eb }) => or([eb('idempotency_key', 'is', null), eb('idempotency_window_hours', 'is not', null)]))
    .orderBy('finished_at')
    .limit(arg(1)),
);

/** Removes up to `limit` tasks that finished before a time, with their logs and events; answers how many. */
export const removeFinished = defineVerb<{ finishedBefore: number; limit: number }, number>({
  stage: 0,
  async run(commit, items) {
    const { kysely } = commit.tx;
    const outcomes: number[] = [];
    for (const { finishedBefore, limit } of items) {
      const rows = await commit.tx.all(removableTasks, [finishedBefore, limit]);
      const seqs = rows.map(({ seq }) => seq);
      if (seqs.length > 0) {
        // The newest event keeps its place, so that its number is never given out again.
        const { newest } = await kysely
          .selectFrom('events')
          .select(({ fn }) => fn.max('seq').as('newest'))
          .executeTakeFirstOrThrow();
        await kysely.deleteFrom('events').where('task_seq', 'in', seqs).where('seq', '<', newest).execute();
        await kysely.deleteFrom('task_logs').where('task_seq', 'in', seqs).execute();
        await kysely.deleteFrom('task_dependencies').where('depends_on_seq', 'in', seqs).execute();
        await kysely.deleteFrom('task_dependencies').where('task_seq', 'in', seqs).execute();
        await kysely.deleteFrom('tasks').where('seq', 'in', seqs).execute();
      }
      outcomes.push(seqs.length);
    }
    return outcomes;
  },
});

import type { TaskStatus } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import { defineStatement, type Engine, type Querier } from '../db/engine.ts';
import type { PathTurns } from '../dispatch/path-turns.ts';

export type StatusCounts = Record<TaskStatus, number>;

/** Each status is counted in the partial index that holds it. */
const counts = defineStatement<[], { status: TaskStatus; count: number }>((kysely) => {
  const countOpen = (status: TaskStatus) =>
    kysely
      .selectFrom('tasks')
      .select([sql<TaskStatus>`${sql.lit(status)}`.as('status'), ({ fn }) => fn.countAll<number>().as('count')])
      .where('status', '=', sql.lit(status));
  const countFinished = kysely
    .selectFrom('tasks')
    .select(['status', ({ fn }) => fn.countAll<number>().as('count')])
    .where('finished_at', 'is not', null)
    .groupBy('status');
  return countOpen('blocked')
    .unionAll(countOpen('scheduled'))
    .unionAll(countOpen('waiting'))
    .unionAll(countOpen('working'))
    .unionAll(countFinished);
});

export async function countByStatus(reader: Querier): Promise<StatusCounts> {
  const totals = { blocked: 0, scheduled: 0, waiting: 0, working: 0, completed: 0, failed: 0, cancelled: 0 };
  for (const { status, count } of await reader.all(counts, [])) totals[status] += Number(count);
  return totals;
}

export type Flow = { work_directory: string; priority: number; run_at: number };

/** The first waiting task of the path and priority after the given ones; uses the index tasks_waiting. */
export const nextFlow = defineStatement<[work_directory: string, priority: number], Flow>((kysely, arg) =>
  kysely
    .selectFrom('tasks')
    .select(['work_directory', 'priority', 'run_at'])
    .where('status', '=', sql.lit('waiting'))
    .where(({ eb, refTuple, tuple }) => eb(refTuple('work_directory', 'priority'), '>', tuple(arg(0), arg(1))))
    .orderBy('work_directory')
    .orderBy('priority')
    .orderBy('run_at')
    .limit(1),
);

const firstOfFlow = defineStatement<[work_directory: string, priority: number], { run_at: number }>((kysely, arg) =>
  kysely
    .selectFrom('tasks')
    .select('run_at')
    .where('status', '=', sql.lit('waiting'))
    .where('work_directory', '=', arg(0))
    .where('priority', '=', arg(1))
    .orderBy('run_at')
    .limit(1),
);

/** `run_at` of the longest-waiting task: what is remembered says where to look, and is put right on the way. */
export async function findOldestWaiting(reader: Querier, turns: PathTurns): Promise<number | null> {
  for (let oldest = turns.oldest(); oldest; oldest = turns.oldest()) {
    const [first] = await reader.all(firstOfFlow, [oldest.path, oldest.rank]);
    if (first && first.run_at <= oldest.runAt) return first.run_at;
    turns.moveHead(oldest, first?.run_at ?? null);
  }
  return null;
}

/** Every path and priority with waiting tasks, by one seek each, however many tasks there are. */
export async function* waitingFlows({ reader, dialect }: Engine): AsyncIterable<Flow> {
  if (dialect.waitingFlows !== null) {
    yield* (await dialect.waitingFlows.execute(reader.kysely)).rows;
    return;
  }
  let [flow] = await reader.all(nextFlow, ['', -1]);
  while (flow) {
    yield flow;
    [flow] = await reader.all(nextFlow, [flow.work_directory, flow.priority]);
  }
}

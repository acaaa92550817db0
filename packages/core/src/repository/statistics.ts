import type { TaskStatus } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import { defineStatement, type Engine, type Querier } from '../db/engine.ts';
import type { PathTurns } from '../dispatch/path-turns.ts';
import { BAND_BITS } from '../domain/band.ts';
import { HIGHEST_RANK } from '../domain/priority.ts';
import { findAreas } from '../domain/scope.ts';
import { findHeads } from './acquire-heads.ts';
import { isInSomeBand } from './directory-bands.ts';
import { inAreas } from './in-areas.ts';

export type StatusCounts = Record<TaskStatus, number>;

/** How many tasks there are of each status, and of the waiting ones of each priority, by its rank. */
export interface TaskCounts {
  readonly byStatus: StatusCounts;
  readonly waitingByRank: number[];
}

const NO_RANK = sql<number | null>`CAST(NULL AS INTEGER)`.as('rank');

/** Each status is counted in the partial index that holds it. */
const counts = defineStatement<[], { status: TaskStatus; rank: number | null; count: number }>((kysely) => {
  const countOpen = (status: TaskStatus) =>
    kysely
      .selectFrom('tasks')
      .select(({ fn }) => [
        sql<TaskStatus>`${sql.lit(status)}`.as('status'),
        NO_RANK,
        fn.countAll<number>().as('count'),
      ])
      .where('status', '=', sql.lit(status));
  const countWaiting = kysely
    .selectFrom('tasks')
    .select(({ fn }) => [
      sql<TaskStatus>`'waiting'`.as('status'),
      sql<number | null>`priority`.as('rank'),
      fn.countAll<number>().as('count'),
    ])
    .where('status', '=', sql.lit('waiting'))
    .groupBy('priority');
  const countFinished = kysely
    .selectFrom('tasks')
    .select(({ fn }) => ['status' as const, NO_RANK, fn.countAll<number>().as('count')])
    .where('finished_at', 'is not', null)
    .groupBy('status');
  return countOpen('blocked')
    .unionAll(countOpen('scheduled'))
    .unionAll(countWaiting)
    .unionAll(countOpen('working'))
    .unionAll(countFinished);
});

export async function countTasks(reader: Querier): Promise<TaskCounts> {
  const rows = await reader.all(counts, []);
  const waitingByRank = Array<number>(HIGHEST_RANK + 1).fill(0);
  for (const { rank, count } of rows) if (rank !== null) waitingByRank[rank]! += Number(count);
  return { byStatus: toTotals(rows), waitingByRank };
}

function toTotals(rows: readonly { status: TaskStatus; count: number }[]): StatusCounts {
  const totals = { blocked: 0, scheduled: 0, waiting: 0, working: 0, completed: 0, failed: 0, cancelled: 0 };
  for (const { status, count } of rows) totals[status] += Number(count);
  return totals;
}

/** The same of a part of the tree, and `run_at` of its longest-waiting task; uses the indexes tasks_directory and tasks_waiting. */
export async function countInScope(
  engine: Engine,
  scope: readonly string[],
): Promise<{ counts: StatusCounts; oldest: number | null }> {
  const isInBand = engine.dialect.hasBands ? await isInSomeBand(engine) : null;
  const rows: { status: TaskStatus; count: number }[] = [];
  let oldest: number | null = null;
  for (const area of findAreas({}, scope) ?? []) {
    let tasks = engine.reader.kysely
      .selectFrom('tasks')
      .where((builder) => inAreas(builder, builder.ref('work_directory'), [area]));
    if (isInBand !== null) tasks = tasks.where(isInBand);
    const counted = tasks.select(['status', ({ fn }) => fn.countAll<number>().as('count')]).groupBy('status');
    rows.push(...(await counted.execute()));
    const first = await tasks
      .select(({ fn }) => fn.min('run_at').as('run_at'))
      .where('status', '=', sql.lit('waiting'))
      .executeTakeFirst();
    const runAt = first?.run_at ?? null;
    if (runAt !== null) oldest = Math.min(oldest ?? Infinity, Number(runAt));
  }
  return { counts: toTotals(rows), oldest };
}

/** A path and priority with waiting tasks, and where the first of them may be found. */
export interface Flow {
  readonly work_directory: string;
  readonly priority: number;
  readonly run_at: number;
  /** As `bandOf`; none where the engine has no bands. */
  readonly band?: number | null;
  /** How many tasks wait, where the engine counts them on the way. */
  readonly waiting?: number;
}

type FlowInBands = Omit<Flow, 'run_at'> & { run_at: number | null };

/** All flows from the index tasks_waiting; `run_at` is that of the tasks that are due since their creation, if there are any. */
export const flowsInBands = defineStatement<[], FlowInBands>((kysely) => ({
  compile: () =>
    sql<FlowInBands>`
      SELECT work_directory, priority, waiting, band, (SELECT run_at FROM tasks WHERE seq = first) AS run_at FROM (
        SELECT work_directory, priority, sum(count) AS waiting,
          min(CASE WHEN is_created THEN band END) AS band, min(CASE WHEN is_created THEN first END) AS first
        FROM (
          SELECT work_directory, priority, run_at = created_at AS is_created, seq >> ${sql.lit(BAND_BITS)} AS band,
            min(seq) AS first, count(*) AS count
          FROM tasks WHERE status = 'waiting'
          GROUP BY seq >> ${sql.lit(BAND_BITS)}, work_directory, priority, run_at = created_at)
        GROUP BY work_directory, priority)`.compile(kysely),
}));

/** The first flow after the given one of tasks that are due later than their creation; uses the index tasks_waiting_later. */
export const nextLaterFlow = defineStatement<[work_directory: string, priority: number], Flow>((kysely, arg) =>
  kysely
    .selectFrom('tasks')
    .select(['work_directory', 'priority', 'run_at'])
    .where('status', '=', sql.lit('waiting'))
    .whereRef('run_at', '<>', 'created_at')
    .where(({ eb, refTuple, tuple }) => eb(refTuple('work_directory', 'priority'), '>', tuple(arg(0), arg(1))))
    .orderBy('work_directory')
    .orderBy('priority')
    .orderBy('run_at')
    .limit(1),
);

/** `run_at` of the longest-waiting task: what is remembered says where to look, and is put right on the way. */
export async function findOldestWaiting(reader: Querier, turns: PathTurns): Promise<number | null> {
  for (let oldest = turns.oldest(); oldest; oldest = turns.oldest()) {
    const [heads] = await findHeads(reader, [{ ...oldest, quota: 1 }], null);
    const first = heads?.rows[0];
    if (heads && first && first.run_at <= oldest.runAt) return first.run_at;
    turns.moveHead(oldest, heads && first ? { ...heads, runAt: first.run_at } : null);
  }
  return null;
}

/** Every path and priority with waiting tasks; a path and priority may come twice. */
export async function* waitingFlows({ reader, dialect }: Engine): AsyncIterable<Flow> {
  if (dialect.waitingFlows !== null) {
    yield* (await dialect.waitingFlows.execute(reader.kysely)).rows;
    return;
  }
  for (const { run_at, ...flow } of await reader.all(flowsInBands, [])) yield { ...flow, run_at: run_at ?? Infinity };
  let [later] = await reader.all(nextLaterFlow, ['', -1]);
  while (later) {
    yield later;
    [later] = await reader.all(nextLaterFlow, [later.work_directory, later.priority]);
  }
}

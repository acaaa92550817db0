import type { TaskStatus } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import { defineStatement, type Engine, type Querier } from '../db/engine.ts';
import type { PathTurns } from '../dispatch/path-turns.ts';
import { BAND_BITS } from '../domain/band.ts';
import { RANKS } from '../domain/priority.ts';
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

type CountsRow = Record<Exclude<TaskStatus, 'waiting'> | `rank${number}`, number>;

/** Each status from the partial index that holds it, without groups: to make some, SQLite would sort a million rows in memory. */
const counts = defineStatement<[], CountsRow>((kysely) => ({
  compile: () => {
    const ofRank = (rank: number) =>
      sql`count(*) FILTER (WHERE priority = ${sql.lit(rank)}) AS ${sql.ref(`rank${rank}`)}`;
    const ofStatus = (status: TaskStatus) =>
      sql`(SELECT count(*) FROM tasks WHERE status = ${sql.lit(status)}) AS ${sql.ref(status)}`;
    return sql<CountsRow>`
      SELECT waiting.*, finished.*,
        ${sql.join((['blocked', 'scheduled', 'working', 'failed', 'cancelled'] as const).map(ofStatus))}
      FROM (SELECT ${sql.join(RANKS.map(ofRank))} FROM tasks WHERE status = 'waiting') AS waiting,
        (SELECT count(*) FILTER (WHERE status = 'completed') AS completed
          FROM tasks WHERE finished_at IS NOT NULL) AS finished`.compile(kysely);
  },
}));

export async function countTasks(reader: Querier): Promise<TaskCounts> {
  const [row] = await reader.all(counts, []);
  const { blocked, scheduled, working, completed, failed, cancelled } = row!;
  const waitingByRank = RANKS.map((rank) => row![`rank${rank}`]!);
  const waiting = waitingByRank.reduce((total, count) => total + count, 0);
  return { byStatus: { blocked, scheduled, waiting, working, completed, failed, cancelled }, waitingByRank };
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
  const totals = { blocked: 0, scheduled: 0, waiting: 0, working: 0, completed: 0, failed: 0, cancelled: 0 };
  for (const { status, count } of rows) totals[status] += Number(count);
  return { counts: totals, oldest };
}

/** A path and priority with waiting tasks, and where the first of them may be found. */
export interface Flow {
  readonly work_directory: string;
  readonly priority: number;
  readonly run_at: number;
  /** As `bandOf`; none where the engine has no bands, or none of its tasks has one. */
  readonly band?: number | null;
  /** How many tasks wait, where the engine counts them on the way. */
  readonly waiting?: number;
}

const BAND = sql<number>`seq >> ${sql.lit(BAND_BITS)}`;

type FlowInBands = Omit<Flow, 'run_at'> & { run_at: number | null };

/** Bands of one statement: SQLite keeps what it groups in memory. */
const BANDS_AT_A_TIME = 64;

/** The first band from the given one on in which a task waits; uses the index tasks_waiting, as the next does. */
export const nextWaitingBand = defineStatement<[from: number], { band: number }>((kysely, arg) =>
  kysely
    .selectFrom('tasks')
    .select(BAND.as('band'))
    .where('status', '=', sql.lit('waiting'))
    .where(BAND, '>=', arg(0))
    .orderBy(BAND)
    .limit(1),
);

/** Flows of some bands; `band` and `run_at` are of the tasks that are due since their creation, if there are any. */
export const flowsInBands = defineStatement<[from: number, end: number], FlowInBands>((kysely, arg) => ({
  compile: () =>
    sql<FlowInBands>`
      SELECT work_directory, priority, waiting, first >> ${sql.lit(BAND_BITS)} AS band,
        (SELECT run_at FROM tasks WHERE seq = first) AS run_at
      FROM (
        SELECT work_directory, priority, count(*) AS waiting, min(CASE WHEN run_at = created_at THEN seq END) AS first
        FROM tasks WHERE status = 'waiting' AND ${BAND} >= ${arg(0)} AND ${BAND} < ${arg(1)}
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

/** Every path and priority with waiting tasks; a path and priority may come several times. */
export async function* waitingFlows({ reader, dialect }: Engine): AsyncIterable<Flow> {
  if (dialect.waitingFlows !== null) {
    yield* (await dialect.waitingFlows.execute(reader.kysely)).rows;
    return;
  }
  let [next] = await reader.all(nextWaitingBand, [0]);
  while (next) {
    const end = next.band + BANDS_AT_A_TIME;
    for (const { run_at, ...flow } of await reader.all(flowsInBands, [next.band, end]))
      yield { ...flow, run_at: run_at ?? Infinity };
    [next] = await reader.all(nextWaitingBand, [end]);
  }
  let [later] = await reader.all(nextLaterFlow, ['', -1]);
  while (later) {
    yield later;
    [later] = await reader.all(nextLaterFlow, [later.work_directory, later.priority]);
  }
}

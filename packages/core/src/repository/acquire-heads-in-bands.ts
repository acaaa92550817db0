import { sql, type Kysely, type RawBuilder, type SelectQueryBuilder } from 'kysely';
import { defineStatement, type ArgOf, type Querier } from '../db/engine.ts';
import type { Database } from '../db/schema.ts';
import { BAND_BITS, bandOf, isDueSinceCreation } from '../domain/band.ts';
import { BEFORE_ALL, type Heads, type Look } from './look.ts';
import { TASK_COLUMNS, type TaskRow } from './task-row.ts';

/**
 * The first waiting tasks of each turn from two indexes: tasks_waiting has those that are due since their creation, band by
 * band, tasks_waiting_later the others.
 */
export async function findHeadsInBands(
  querier: Querier,
  looks: readonly Look[],
  tags: string | null,
): Promise<readonly Heads[]> {
  const first = await findFirstOfEach(querier, looks, tags);
  const heads: Heads[] = [];
  for (const look of looks) heads.push(first?.[heads.length] ?? (await findOne(querier, look, tags)));
  return heads;
}

/** One task of each turn, in one statement: where paths take turns, that is what most of them get. */
async function findFirstOfEach(
  querier: Querier,
  looks: readonly Look[],
  tags: string | null,
): Promise<(Heads | null)[] | null> {
  if (tags !== null || looks.length === 1 || looks.some(({ quota }) => quota > 1)) return null;
  const hasLater = looks.some((look) => look.hasLater);
  const rows = await querier.all(hasLater ? firstOfEachTurn : firstCreatedOfEachTurn, [
    JSON.stringify(looks.map(toArgs)),
  ]);
  const createdOf: (TaskRow | undefined)[] = [];
  const laterOf: (TaskRow | undefined)[] = [];
  for (const row of rows) (isDueSinceCreation(row) ? createdOf : laterOf)[row.turn] = row;
  return looks.map(({ band }, turn) => {
    const created = createdOf[turn];
    // It may stand in a band further on.
    if (!created && band !== Infinity) return null;
    const later = laterOf[turn];
    const first = created && later ? [created, later].toSorted(byOrder)[0] : (created ?? later);
    return { rows: first ? [first] : [], band: created ? bandOf(created) : Infinity, hasLater: later !== undefined };
  });
}

async function findOne(querier: Querier, look: Look, tags: string | null): Promise<Heads> {
  const { path, rank, quota, after = BEFORE_ALL } = look;
  const created: TaskRow[] = [];
  let band = look.band;
  while (created.length < quota && band !== Infinity) {
    const args = [band, path, rank, after.created, quota - created.length] as const;
    const rows = await (tags === null
      ? querier.all(headsInBand, [...args])
      : querier.all(taggedHeadsInBand, [...args, tags]));
    created.push(...rows);
    if (created.length === quota) break;
    const [next] = await querier.all(nextBand, [band, path, rank]);
    band = next?.band ?? Infinity;
  }
  const later = look.hasLater ? await findLater(querier, look, tags) : [];
  return {
    rows: later.length === 0 ? created : [...created, ...later].toSorted(byOrder).slice(0, quota),
    band: created[0] ? bandOf(created[0]) : Infinity,
    hasLater: later.length > 0,
  };
}

function findLater(querier: Querier, look: Look, tags: string | null): Promise<TaskRow[]> {
  const { path, rank, quota, after = BEFORE_ALL } = look;
  const args = [path, rank, after.later.run_at, after.later.seq, quota] as const;
  return tags === null ? querier.all(headsLater, [...args]) : querier.all(taggedHeadsLater, [...args, tags]);
}

function byOrder(a: TaskRow, b: TaskRow): number {
  return a.run_at - b.run_at || a.seq - b.seq;
}

/** JSON knows no Infinity: null. */
function toArgs({ path, rank, band, after = BEFORE_ALL }: Look): unknown[] {
  return [path, rank, band, after.created, after.later.run_at, after.later.seq];
}

type BandArgs = [band: number, path: string, rank: number, afterSeq: number, limit: number];
type LaterArgs = [path: string, rank: number, afterRunAt: number, afterSeq: number, limit: number];
type Arg<Args extends readonly unknown[]> = ArgOf<Args> | ArgOf<[...Args, tags: string]>;

/** Uses the index tasks_waiting. */
export const headsInBand = defineStatement<BandArgs, TaskRow>(selectInBand);

export const taggedHeadsInBand = defineStatement<[...BandArgs, tags: string], TaskRow>((kysely, arg, dialect) =>
  selectInBand(kysely, arg).where(({ ref }) => dialect.sharesElement(ref('tags'), arg(5))),
);

function selectInBand(kysely: Kysely<Database>, arg: Arg<BandArgs>): SelectTasks {
  return kysely
    .selectFrom('tasks')
    .select(TASK_COLUMNS)
    .where('status', '=', sql.lit('waiting'))
    .where(sql<number>`seq >> ${sql.lit(BAND_BITS)}`, '=', arg(0))
    .where('work_directory', '=', arg(1))
    .where('priority', '=', arg(2))
    .where(sql`(run_at = created_at)`, '=', sql.lit(1))
    .where('seq', '>', arg(3))
    .orderBy('seq')
    .limit(arg(4));
}

/** Uses the index tasks_waiting_later. */
export const headsLater = defineStatement<LaterArgs, TaskRow>(selectLater);

export const taggedHeadsLater = defineStatement<[...LaterArgs, tags: string], TaskRow>((kysely, arg, dialect) =>
  selectLater(kysely, arg).where(({ ref }) => dialect.sharesElement(ref('tags'), arg(5))),
);

function selectLater(kysely: Kysely<Database>, arg: Arg<LaterArgs>): SelectTasks {
  return kysely
    .selectFrom('tasks')
    .select(TASK_COLUMNS)
    .where('status', '=', sql.lit('waiting'))
    .whereRef('run_at', '<>', 'created_at')
    .where('work_directory', '=', arg(0))
    .where('priority', '=', arg(1))
    .where(({ eb, refTuple, tuple }) => eb(refTuple('run_at', 'seq'), '>', tuple(arg(2), arg(3))))
    .orderBy('run_at')
    .orderBy('seq')
    .limit(arg(4));
}

type SelectTasks = SelectQueryBuilder<Database, 'tasks', TaskRow>;

const inBand = (band: string, path: string, rank: string): RawBuilder<unknown> =>
  sql.raw(`
  head.status = 'waiting' AND head.seq >> ${BAND_BITS} = ${band} AND head.work_directory = ${path}
  AND head.priority = ${rank} AND (head.run_at = head.created_at) = 1`);

/** The next band with a task of the path and rank that is due since its creation; one seek for each band in between. */
export const nextBand = defineStatement<[band: number, path: string, rank: number], { band: number }>(
  (kysely, arg) => ({
    compile: () =>
      sql<{ band: number }>`
        WITH RECURSIVE next(band, path, rank) AS (
          SELECT ${arg(0)} + 1, ${arg(1)}, ${arg(2)}
          UNION ALL
          SELECT band + 1, path, rank FROM next
          WHERE band < (SELECT seq >> ${sql.lit(BAND_BITS)} FROM tasks ORDER BY seq DESC LIMIT 1)
        )
        SELECT band FROM next
        WHERE EXISTS (SELECT 1 FROM tasks head WHERE ${inBand('next.band', 'next.path', 'next.rank')}) LIMIT 1`.compile(
        kysely,
      ),
  }),
);

const firstInBand = (band: string): RawBuilder<unknown> => sql`(
  SELECT head.seq FROM tasks head
  WHERE ${inBand(band, 'turn.value->>0', 'turn.value->>1')} AND head.seq > turn.value->>3 ORDER BY head.seq LIMIT 1)`;

/** Of the turn with its number in the list. */
type TurnRow = TaskRow & { readonly turn: number };

const firstCreated = sql`coalesce(${firstInBand('turn.value->>2')}, ${firstInBand('(turn.value->>2) + 1')})`;

const firstLater = sql`(
  SELECT head.seq FROM tasks head
  WHERE head.status = 'waiting' AND head.run_at <> head.created_at
    AND head.work_directory = turn.value->>0 AND head.priority = turn.value->>1
    AND (head.run_at, head.seq) > (turn.value->>4, turn.value->>5)
  ORDER BY head.run_at, head.seq LIMIT 1)`;

const selectFirst = (turns: string, first: RawBuilder<unknown>): RawBuilder<TurnRow> => sql`
  SELECT turn.key AS turn, ${sql.join(TASK_COLUMNS.map((column) => sql.ref(`task.${column}`)))}
  FROM json_each(${turns}) AS turn CROSS JOIN tasks AS task ON task.seq = ${first}`;

/** The first task of each turn that is due since its creation; the band is tried, and the one after it. */
export const firstCreatedOfEachTurn = defineStatement<[turns: string], TurnRow>((kysely, arg) => ({
  compile: () => selectFirst(arg(0), firstCreated).compile(kysely),
}));

/** The first task of each kind of each turn. */
export const firstOfEachTurn = defineStatement<[turns: string], TurnRow>((kysely, arg) => ({
  compile: () =>
    sql<TurnRow>`${selectFirst(arg(0), firstCreated)} UNION ALL ${selectFirst(arg(0), firstLater)}`.compile(kysely),
}));

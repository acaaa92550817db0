import { sql, type Kysely, type RawBuilder, type SelectQueryBuilder } from 'kysely';
import { defineStatement, type ArgOf, type Dialect, type Querier } from '../db/engine.ts';
import type { Database } from '../db/schema.ts';
import { findHeadsInBands } from './acquire-heads-in-bands.ts';
import { BEFORE_ALL, type Heads, type Look } from './look.ts';
import { TASK_COLUMNS, type TaskRow } from './task-row.ts';

/** What each of the turns finds: as many tasks as its quota, or all there are. */
export async function findHeads(
  querier: Querier,
  looks: readonly Look[],
  tagsAny: readonly string[] | null,
): Promise<readonly Heads[]> {
  const tags = tagsAny === null ? null : JSON.stringify(tagsAny);
  if (querier.dialect.hasBands) return findHeadsInBands(querier, looks, tags);
  const rows = looks.length === 1 ? findOne(querier, looks[0]!, tags) : findAll(querier, looks, tags);
  const byTurn = Map.groupBy(await rows, (row) => `${row.priority} ${row.work_directory}`);
  return looks.map(({ rank, path }) => ({ rows: byTurn.get(`${rank} ${path}`) ?? [], band: Infinity, hasLater: true }));
}

function findOne(querier: Querier, look: Look, tags: string | null): Promise<TaskRow[]> {
  const args = toArgs(look);
  return tags === null ? querier.all(headsOfTurn, args) : querier.all(taggedHeadsOfTurn, [...args, tags]);
}

/** All turns in one round trip. */
function findAll(querier: Querier, looks: readonly Look[], tags: string | null): Promise<TaskRow[]> {
  const turns = JSON.stringify(looks.map(toArgs));
  return tags === null ? querier.all(headsOfTurns, [turns]) : querier.all(taggedHeadsOfTurns, [turns, tags]);
}

type LookArgs = [path: string, rank: number, afterRunAt: number, afterSeq: number, limit: number];
type TaggedLookArgs = [...LookArgs, tags: string];

function toArgs({ path, rank, after = BEFORE_ALL, quota }: Look): LookArgs {
  return [path, rank, after.last.run_at, after.last.seq, quota];
}

/** Uses the index tasks_waiting. */
export const headsOfTurn = defineStatement<LookArgs, TaskRow>(selectHeads);

/** The same for tasks with one of some tags. */
export const taggedHeadsOfTurn = defineStatement<TaggedLookArgs, TaskRow>((kysely, arg, dialect) =>
  selectHeads(kysely, arg, dialect).where(({ ref }) => dialect.sharesElement(ref('tags'), arg(5))),
);

function selectHeads(
  kysely: Kysely<Database>,
  arg: ArgOf<LookArgs> | ArgOf<TaggedLookArgs>,
  dialect: Dialect,
): SelectQueryBuilder<Database, 'tasks', TaskRow> {
  return kysely
    .selectFrom('tasks')
    .select(TASK_COLUMNS)
    .where('status', '=', sql.lit('waiting'))
    .where('work_directory', '=', arg(0))
    .where('priority', '=', arg(1))
    .where(({ eb, refTuple, tuple }) => eb(refTuple('run_at', 'seq'), '>', tuple(arg(2), arg(3))))
    .orderBy('run_at')
    .orderBy('seq')
    .limit(arg(4))
    .modifyEnd(dialect.forUpdateSkipLocked);
}

const headsOfTurns = defineStatement<[turns: string], TaskRow>((kysely, arg, dialect) => ({
  compile: () => selectHeadsLateral(arg(0), sql``, dialect).compile(kysely),
}));

const taggedHeadsOfTurns = defineStatement<[turns: string, tags: string], TaskRow>((kysely, arg, dialect) => ({
  compile: () =>
    selectHeadsLateral(arg(0), sql`AND ${dialect.sharesElement(sql.ref('tags'), arg(1))}`, dialect).compile(kysely),
}));

function selectHeadsLateral(turns: string, andTags: RawBuilder<unknown>, dialect: Dialect): RawBuilder<TaskRow> {
  return sql<TaskRow>`
    SELECT head.* FROM json_array_elements(${turns}::json) AS turn, LATERAL (
      SELECT ${sql.join(TASK_COLUMNS.map((column) => sql.ref(column)))} FROM tasks
      WHERE status = 'waiting' AND work_directory = turn->>0 AND priority = (turn->>1)::smallint
        AND (run_at, seq) > ((turn->>2)::bigint, (turn->>3)::bigint) ${andTags}
      ORDER BY run_at, seq LIMIT (turn->>4)::int ${dialect.forUpdateSkipLocked}
    ) AS head`;
}

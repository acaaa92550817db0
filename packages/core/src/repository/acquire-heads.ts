import { sql, type Kysely, type RawBuilder, type SelectQueryBuilder } from 'kysely';
import type { Commit } from '../commit/commit.ts';
import { defineStatement, type ArgOf, type Dialect } from '../db/engine.ts';
import type { Database } from '../db/schema.ts';
import type { Turn } from '../dispatch/path-turns.ts';
import { TASK_COLUMNS, type TaskRow } from './task-row.ts';

/** A turn, from after the task that was taken last. */
export interface Look extends Turn {
  readonly after: Pick<TaskRow, 'run_at' | 'seq'> | undefined;
}

/** The first waiting tasks of each turn, in their order. */
export async function findHeads(
  commit: Commit,
  looks: readonly Look[],
  tagsAny: readonly string[] | null,
): Promise<TaskRow[][]> {
  const { tx } = commit;
  const tags = tagsAny === null ? null : JSON.stringify(tagsAny);
  const json = (): string => JSON.stringify(looks.map(toArgs));
  if (looks.length > 1 && tx.dialect.hasLateral) {
    return splitByTurn(
      looks,
      await (tags === null ? tx.all(headsOfTurns, [json()]) : tx.all(taggedHeadsOfTurns, [json(), tags])),
    );
  }
  if (looks.length > 1 && tags === null && looks.every(({ quota }) => quota === 1)) {
    return splitByTurn(looks, await tx.all(headOfEachTurn, [json()]));
  }
  const heads: TaskRow[][] = [];
  for (const look of looks) {
    const args = toArgs(look);
    heads.push(await (tags === null ? tx.all(headsOfTurn, args) : tx.all(taggedHeadsOfTurn, [...args, tags])));
  }
  return heads;
}

function splitByTurn(looks: readonly Look[], rows: readonly TaskRow[]): TaskRow[][] {
  const byTurn = Map.groupBy(rows, (row) => `${row.priority} ${row.work_directory}`);
  return looks.map(({ rank, path }) => byTurn.get(`${rank} ${path}`) ?? []);
}

type LookArgs = [path: string, rank: number, afterRunAt: number, afterSeq: number, limit: number];
type TaggedLookArgs = [...LookArgs, tags: string];

function toArgs({ path, rank, after, quota }: Look): LookArgs {
  return [path, rank, after?.run_at ?? Number.MIN_SAFE_INTEGER, after?.seq ?? 0, quota];
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

/** One task of each turn, in one statement: where paths take turns, that is what most of them get. */
export const headOfEachTurn = defineStatement<[turns: string], TaskRow>((kysely, arg) =>
  kysely
    .selectFrom('tasks')
    .select(TASK_COLUMNS)
    .where(
      sql<boolean>`seq IN (
        SELECT (
          SELECT head.seq FROM tasks head
          WHERE head.status = 'waiting' AND head.work_directory = turn.value->>0 AND head.priority = turn.value->>1
            AND (head.run_at, head.seq) > (turn.value->>2, turn.value->>3)
          ORDER BY head.run_at, head.seq LIMIT 1)
        FROM json_each(${arg(0)}) AS turn)`,
    ),
);

/** All turns in one round trip, where each would be one. */
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

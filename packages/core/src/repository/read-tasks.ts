import type { ListInput, ListOutput, Task, TaskOutcome } from '@task-orchestrator/contract';
import { sql, type SelectQueryBuilder } from 'kysely';
import type { z } from 'zod';
import { defineStatement, type Engine, type Querier } from '../db/engine.ts';
import type { Database } from '../db/schema.ts';
import { findAreas } from '../domain/scope.ts';
import type { Cipher } from '../encryption/cipher.ts';
import { isFinished, refuseUnknown } from '../domain/task-state.ts';
import { readCursor } from './cursor.ts';
import { findInBands, isInSomeBand } from './directory-bands.ts';
import { matchesFilter, splitByArea, type ScopedFilter } from './filter.ts';
import { CONTROL_COLUMNS, TASK_COLUMNS, toOutcome, toTask, type ControlRow, type TaskRow } from './task-row.ts';

const taskById = defineStatement<[task_id: string], TaskRow>((kysely, arg) =>
  kysely.selectFrom('tasks').select(TASK_COLUMNS).where('task_id', '=', arg(0)),
);

const outcomesById = defineStatement<[ids: string], ControlRow & Pick<TaskRow, 'result' | 'error'>>(
  (kysely, arg, dialect) =>
    kysely
      .selectFrom('tasks')
      .select([...CONTROL_COLUMNS, 'result', 'error'])
      .where(({ ref }) => dialect.inStrings(ref('task_id'), arg(0))),
);

/** @throws TASK_NOT_FOUND */
export async function getTask(reader: Querier, cipher: Cipher, task_id: string): Promise<Task> {
  const [row] = await reader.all(taskById, [task_id]);
  if (!row) throw refuseUnknown(task_id);
  return toTask(row, cipher);
}

/** @throws TASK_NOT_FOUND when one of them does not exist. */
export async function getOutcomes(reader: Querier, cipher: Cipher, ids: readonly string[]): Promise<TaskOutcome[]> {
  const rows = await reader.all(outcomesById, [JSON.stringify(ids)]);
  const byId = new Map(rows.map((row) => [row.task_id, row]));
  return [...new Set(ids)].map((task_id) => {
    const row = byId.get(task_id);
    if (!row) throw refuseUnknown(task_id);
    return toOutcome(row, cipher);
  });
}

type ScopedList = ListInput & ScopedFilter;

/** Newest first. `total` counts the whole filter, so it is left out where a cursor shows that it is known. */
export async function listTasks(
  engine: Engine,
  cipher: Cipher,
  input: ScopedList,
): Promise<z.infer<typeof ListOutput>> {
  const before = input.cursor === undefined ? Number.MAX_SAFE_INTEGER : readCursor(input.cursor);
  const rows = usesBands(engine, input)
    ? await pageFromBands(engine, input, before)
    : await pageFromTable(engine, input, before);
  const tasks = rows.slice(0, input.limit);
  const next_cursor = rows.length > input.limit ? String(tasks.at(-1)!.seq) : null;
  const answer = { tasks: tasks.map((row) => toTask(row, cipher)), next_cursor };
  return input.cursor === undefined ? { ...answer, total: await countTasks(engine, input) } : answer;
}

function pageFromTable({ reader, dialect }: Engine, input: ScopedList, before: number): Promise<TaskRow[]> {
  let page = reader.kysely.selectFrom('tasks').select(TASK_COLUMNS).where(matchesFilter(input, dialect));
  // Few tasks work, among many: without this SQLite goes through all of them, since that spares it a sort.
  if (input.status === 'working') page = page.where('seq', 'in', workingSeqs(reader.kysely));
  return page
    .where('seq', '<', before)
    .orderBy('seq', 'desc')
    .limit(input.limit + 1)
    .offset(input.offset)
    .execute();
}

async function pageFromBands(engine: Engine, input: ScopedList, before: number): Promise<TaskRow[]> {
  const { limit, offset } = input;
  const found = await findInBands(engine, {
    filter: input,
    range: { from: 0, to: before - 1 },
    direction: 'desc',
    limit: offset + limit + 1,
  });
  return bySeq(engine, found.slice(offset)).select(TASK_COLUMNS).orderBy('seq', 'desc').execute();
}

/** Tasks at work are few, and have an index of their own. */
function usesBands({ dialect }: Engine, filter: ScopedFilter): boolean {
  return dialect.hasBands && findAreas(filter, filter.scope) !== undefined && filter.status !== 'working';
}

function bySeq({ reader, dialect }: Engine, seqs: readonly number[]) {
  return reader.kysely.selectFrom('tasks').where(({ ref }) => dialect.inIntegers(ref('seq'), JSON.stringify(seqs)));
}

function workingSeqs(kysely: Querier['kysely']): SelectQueryBuilder<Database, 'tasks', { seq: number }> {
  return kysely.selectFrom('tasks').select('seq').where('status', '=', sql.lit('working'));
}

export async function countTasks(engine: Engine, filter: ScopedFilter): Promise<number> {
  if (filter.scope === undefined || !usesBands(engine, filter)) return countMatching(engine, filter);
  let total = 0;
  for (const part of splitByArea(filter)) total += await countMatching(engine, part);
  return total;
}

async function countMatching(engine: Engine, filter: ScopedFilter): Promise<number> {
  let count = engine.reader.kysely
    .selectFrom('tasks')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where(matchesFilter(filter, engine.dialect));
  // Says the same once more, in the words of the index tasks_finished, which is much smaller than the table.
  if (filter.status !== undefined && [filter.status].flat().every(isFinished))
    count = count.where('finished_at', 'is not', null);
  if (usesBands(engine, filter)) count = count.where(await isInSomeBand(engine));
  return Number((await count.executeTakeFirstOrThrow()).count);
}

/** Ids of a filter in creation order, from after `afterSeq`: for operations that go through all of them in pages. */
export async function pageOfIds(
  engine: Engine,
  { filter, afterSeq, limit }: { filter: ScopedFilter; afterSeq: number; limit: number },
): Promise<{ seq: number; task_id: string }[]> {
  if (usesBands(engine, filter)) {
    const range = { from: afterSeq + 1, to: Number.MAX_SAFE_INTEGER };
    const found = await findInBands(engine, { filter, range, direction: 'asc', limit });
    return bySeq(engine, found).select(['seq', 'task_id']).orderBy('seq').execute();
  }
  return engine.reader.kysely
    .selectFrom('tasks')
    .select(['seq', 'task_id'])
    .where(matchesFilter(filter, engine.dialect))
    .where('seq', '>', afterSeq)
    .orderBy('seq')
    .limit(limit)
    .execute();
}

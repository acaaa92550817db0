import type { PathsInput, PathsOutput, PathState, SetPathInput } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import type { z } from 'zod';
import { defineVerb } from '../commit/commit-queue.ts';
import { defineStatement, type Querier } from '../db/engine.ts';
import type { PathSetting } from '../dispatch/path-settings.ts';
import type { WaitingCounts } from '../dispatch/waiting-counts.ts';
import { findAreas, isInScope, type Area, type Scope } from '../domain/scope.ts';
import { inAreas } from './in-areas.ts';

const DEFAULTS = { paused: 0, max_concurrent: null, weight: 1 };

/**
 * Changes the settings that are named, and leaves the others. Hand-outs under way are waited for: once a pause or a limit
 * is acknowledged, it holds on every server.
 */
export const setPaths = defineVerb<SetPathInput, PathSetting>({
  stage: 2,
  async run(commit, items) {
    await commit.tx.lockHandOut('alone');
    const { kysely } = commit.tx;
    const outcomes: PathSetting[] = [];
    for (const { path, ...wanted } of items) {
      const current = await kysely.selectFrom('paths').selectAll().where('path', '=', path).executeTakeFirst();
      const setting: PathSetting = {
        path,
        paused: wanted.paused === undefined ? (current ?? DEFAULTS).paused : Number(wanted.paused),
        max_concurrent:
          wanted.max_concurrent === undefined ? (current ?? DEFAULTS).max_concurrent : wanted.max_concurrent,
        weight: wanted.weight ?? (current ?? DEFAULTS).weight,
      };
      const { path: _path, ...columns } = setting;
      await kysely
        .insertInto('paths')
        .values(setting)
        .onConflict((conflict) => conflict.column('path').doUpdateSet(columns))
        .execute();
      outcomes.push(setting);
    }
    return outcomes;
  },
});

const pathSettings = defineStatement<[], PathSetting>((kysely) =>
  kysely.selectFrom('paths').select(['path', 'paused', 'max_concurrent', 'weight']),
);

export function readPathSettings(reader: Querier): Promise<PathSetting[]> {
  return reader.all(pathSettings, []);
}

interface Page {
  readonly after: string;
  readonly limit: number;
  readonly scope: Scope;
  /** Of the scope. */
  readonly areas: readonly Area[] | undefined;
}

/** From the cursor on, for one page. */
async function countWaiting(reader: Querier, page: Page, known: WaitingCounts | null): Promise<Map<string, number>> {
  if (known === null) return countByPath(reader, 'waiting', page);
  const isWanted = (path: string): boolean => byBytes(path, page.after) > 0 && isInScope(path, page.scope);
  const names = [...known.paths()].filter(isWanted).toSorted(byBytes);
  return new Map(names.slice(0, page.limit).map((path) => [path, known.of(path)]));
}

/** Uses the index tasks_waiting, or tasks_working, from the cursor on and for one page only. */
async function countByPath(reader: Querier, status: 'waiting' | 'working', page: Page): Promise<Map<string, number>> {
  const { areas } = page;
  let counted = reader.kysely
    .selectFrom('tasks')
    .select(['work_directory as path', ({ fn }) => fn.countAll<number>().as('count')])
    .where('status', '=', sql.lit(status))
    .where('work_directory', '>', page.after);
  if (areas !== undefined) counted = counted.where((builder) => inAreas(builder, builder.ref('work_directory'), areas));
  const rows = await counted.groupBy('work_directory').orderBy('work_directory').limit(page.limit).execute();
  return new Map(rows.map(({ path, count }) => [path, Number(count)]));
}

/**
 * Paths that have settings, or tasks waiting or at work; in path order. The first paths of all are among the first of
 * each of the three.
 */
export async function listPaths(
  reader: Querier,
  { limit, cursor: after = '' }: z.output<typeof PathsInput>,
  known: WaitingCounts | null,
  scope: Scope,
): Promise<z.infer<typeof PathsOutput>> {
  const areas = findAreas({}, scope);
  const page = { after, limit: limit + 1, scope, areas };
  const waiting = await countWaiting(reader, page, known);
  const working = await countByPath(reader, 'working', page);
  let settled = reader.kysely.selectFrom('paths').selectAll().where('path', '>', page.after);
  if (areas !== undefined) settled = settled.where((builder) => inAreas(builder, builder.ref('path'), areas));
  const settings = await settled.orderBy('path').limit(page.limit).execute();
  const byPath = new Map(settings.map((setting) => [setting.path, setting]));
  const names = [...new Set([...waiting.keys(), ...working.keys(), ...byPath.keys()])].toSorted(byBytes);
  const paths = names.slice(0, limit).map((path) =>
    toPathState({
      ...(byPath.get(path) ?? { path, ...DEFAULTS }),
      waiting: waiting.get(path) ?? 0,
      working: working.get(path) ?? 0,
    }),
  );
  return { paths, next_cursor: names.length > limit ? paths.at(-1)!.path : null };
}

/** As the databases order paths. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

export async function getPathState(
  reader: Querier,
  setting: PathSetting,
  known: WaitingCounts | null,
): Promise<PathState> {
  const countOf = async (status: 'waiting' | 'working'): Promise<number> => {
    const row = await reader.kysely
      .selectFrom('tasks')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('status', '=', sql.lit(status))
      .where('work_directory', '=', setting.path)
      .executeTakeFirstOrThrow();
    return Number(row.count);
  };
  const waiting = known === null ? await countOf('waiting') : known.of(setting.path);
  return toPathState({ ...setting, waiting, working: await countOf('working') });
}

function toPathState(row: PathSetting & { waiting: number; working: number }): PathState {
  return {
    path: row.path,
    paused: row.paused === 1,
    max_concurrent: row.max_concurrent,
    weight: row.weight,
    waiting: Number(row.waiting),
    working: Number(row.working),
  };
}

import type { PathsInput, PathsOutput, PathState, SetPathInput } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import type { z } from 'zod';
import { defineVerb } from '../commit/commit-queue.ts';
import { defineStatement, type Querier } from '../db/engine.ts';
import type { PathSetting } from '../dispatch/path-settings.ts';

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

/** Paths that have settings, or tasks waiting or at work; in path order. */
export async function listPaths(
  reader: Querier,
  input: z.output<typeof PathsInput>,
): Promise<z.infer<typeof PathsOutput>> {
  const counts = reader.kysely
    .selectFrom('tasks')
    .select([
      'work_directory as path',
      sql<number>`SUM(CASE WHEN status = 'waiting' THEN 1 ELSE 0 END)`.as('waiting'),
      sql<number>`SUM(CASE WHEN status = 'working' THEN 1 ELSE 0 END)`.as('working'),
    ])
    .where(({ or, eb }) => or([eb('status', '=', sql.lit('waiting')), eb('status', '=', sql.lit('working'))]))
    .groupBy('work_directory');
  const rows = await reader.kysely
    .with('counts', () => counts)
    .with('names', (query) => query.selectFrom('counts').select('path').union(query.selectFrom('paths').select('path')))
    .selectFrom('names')
    .leftJoin('counts', 'counts.path', 'names.path')
    .leftJoin('paths', 'paths.path', 'names.path')
    .select(['names.path', 'paused', 'max_concurrent', 'weight', 'waiting', 'working'])
    .where('names.path', '>', input.cursor ?? '')
    .orderBy('names.path')
    .limit(input.limit + 1)
    .execute();
  const page = rows.slice(0, input.limit);
  return { paths: page.map(toPathState), next_cursor: rows.length > input.limit ? page.at(-1)!.path : null };
}

export async function getPathState(reader: Querier, setting: PathSetting): Promise<PathState> {
  const counts = await reader.kysely
    .selectFrom('tasks')
    .select(['status', ({ fn }) => fn.countAll<number>().as('count')])
    .where('work_directory', '=', setting.path)
    .where(({ or, eb }) => or([eb('status', '=', sql.lit('waiting')), eb('status', '=', sql.lit('working'))]))
    .groupBy('status')
    .execute();
  const countOf = (wanted: string): number => Number(counts.find(({ status }) => status === wanted)?.count ?? 0);
  return toPathState({ ...setting, waiting: countOf('waiting'), working: countOf('working') });
}

function toPathState(row: {
  path: string;
  paused: number | null;
  max_concurrent: number | null;
  weight: number | null;
  waiting: number | null;
  working: number | null;
}): PathState {
  return {
    path: row.path,
    paused: row.paused === 1,
    max_concurrent: row.max_concurrent,
    weight: row.weight ?? DEFAULTS.weight,
    waiting: Number(row.waiting ?? 0),
    working: Number(row.working ?? 0),
  };
}

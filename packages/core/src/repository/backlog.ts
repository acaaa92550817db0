import { setImmediate as endOfTurn } from 'node:timers/promises';
import type { Priority } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import { defineStatement, type Engine } from '../db/engine.ts';
import type { PathSettings } from '../dispatch/path-settings.ts';
import type { PathTurns } from '../dispatch/path-turns.ts';
import { overlaps } from '../domain/path-tree.ts';
import { priorityOfRank } from '../domain/priority.ts';
import { findHeads } from './acquire-heads.ts';
import { workingExclusive } from './path-guard.ts';
import { waitingFlows, type Flow } from './statistics.ts';

/** What waits in the whole database, as monitoring wants to know it. */
export interface Backlog {
  /** Of each priority, seconds since its longest-waiting task became ready; 0 when none waits. */
  readonly oldestSeconds: Readonly<Record<Priority, number>>;
  /** Paths whose longest-waiting task has been ready for five minutes while nobody works there, although they are not paused. */
  readonly pathsWithoutWorker: number;
}

const UNATTENDED_MS = 5 * 60_000;
/** Where each flow is a look-up, requests get their turn after so many. */
const LOOKS_A_TURN = 100;

/** Uses the index tasks_working. */
export const workingDirectories = defineStatement<[], { work_directory: string }>((kysely) =>
  kysely.selectFrom('tasks').select('work_directory').distinct().where('status', '=', sql.lit('working')),
);

export async function measureBacklog(context: {
  engine: Engine;
  turns: PathTurns;
  settings: PathSettings;
}): Promise<Backlog> {
  const { engine, settings } = context;
  const { reader } = engine;
  const now = await engine.now();
  const oldest: Record<Priority, number> = { low: now, medium: now, high: now };
  const late = new Set<string>();
  for await (const { work_directory, priority, run_at } of flowsNow(context)) {
    const name = priorityOfRank(priority);
    oldest[name] = Math.min(oldest[name], run_at);
    if (run_at <= now - UNATTENDED_MS) late.add(work_directory);
  }
  const working = await reader.all(workingDirectories, []);
  const exclusive = await reader.all(workingExclusive, []);
  for (const { work_directory } of working) late.delete(work_directory);
  const isUnattended = (path: string) =>
    !settings.isPaused(path) && !exclusive.some(({ work_directory }) => overlaps(path, work_directory));
  const seconds = (runAt: number) => (now - runAt) / 1000;
  return {
    oldestSeconds: { low: seconds(oldest.low), medium: seconds(oldest.medium), high: seconds(oldest.high) },
    pathsWithoutWorker: [...late].filter(isUnattended).length,
  };
}

/** One statement where the engine has one; else what is remembered says where to look, as all flows at once would be a scan. */
async function* flowsNow({ engine, turns }: { engine: Engine; turns: PathTurns }): AsyncIterable<Flow> {
  if (engine.dialect.waitingFlows !== null) return yield* waitingFlows(engine);
  const remembered = [...turns.heads()];
  for (let start = 0; start < remembered.length; start += LOOKS_A_TURN) {
    if (start > 0) await endOfTurn();
    const looks = remembered.slice(start, start + LOOKS_A_TURN).map((head) => ({ ...head, quota: 1 }));
    for (const { rows } of await findHeads(engine.reader, looks, null)) yield* rows;
  }
}

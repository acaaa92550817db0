import type { WorkersInput, WorkersOutput } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import type { z } from 'zod';
import { defineVerb } from '../commit/commit-queue.ts';
import { defineStatement, type Querier } from '../db/engine.ts';
import { findAreas, type Scope } from '../domain/scope.ts';
import { inAreas } from './in-areas.ts';
import { toIsoOrNull } from './task-row.ts';

export interface WorkerSighting {
  readonly worker_id: string;
  readonly last_acquire_at: number | null;
  readonly last_heartbeat_at: number | null;
}

type SightingArgs = [worker_id: string, acquiredAt: number | null, heartbeatAt: number | null, seenAt: number];

const saveSighting = defineStatement<SightingArgs, never>((kysely, arg) =>
  kysely
    .insertInto('workers')
    .values({ worker_id: arg(0), last_acquire_at: arg(1), last_heartbeat_at: arg(2), last_seen_at: arg(3) })
    .onConflict((conflict) =>
      conflict.column('worker_id').doUpdateSet(({ fn, ref }) => ({
        last_acquire_at: fn.coalesce(ref('excluded.last_acquire_at'), ref('workers.last_acquire_at')),
        last_heartbeat_at: fn.coalesce(ref('excluded.last_heartbeat_at'), ref('workers.last_heartbeat_at')),
        last_seen_at: ref('excluded.last_seen_at'),
      })),
    )
    .$castTo<never>(),
);

/** Writes down when workers were last seen; in one order, as another server may have seen the same ones. */
export const saveSightings = defineVerb<readonly WorkerSighting[], void>({
  stage: 0,
  async run(commit, items) {
    const sightings = items.flat().toSorted(byWorker);
    await Promise.all(
      sightings.map(({ worker_id, last_acquire_at, last_heartbeat_at }) => {
        const seenAt = Math.max(last_acquire_at ?? 0, last_heartbeat_at ?? 0);
        return commit.tx.all(saveSighting, [worker_id, last_acquire_at, last_heartbeat_at, seenAt]);
      }),
    );
    return items.map(() => undefined);
  },
});

function byWorker({ worker_id: a }: WorkerSighting, { worker_id: b }: WorkerSighting): number {
  return Number(a > b) - Number(a < b);
}

/** Last seen first, with how many tasks each holds; with a scope those that hold some there. */
export async function listWorkers(
  reader: Querier,
  input: z.output<typeof WorkersInput>,
  scope: Scope,
): Promise<z.infer<typeof WorkersOutput>> {
  let query = reader.kysely
    .selectFrom('workers')
    .leftJoin(
      () => tasksHeld(reader, scope).as('held'),
      (join) => join.onRef('held.worker_id', '=', 'workers.worker_id'),
    )
    .select(['workers.worker_id', 'last_acquire_at', 'last_heartbeat_at', 'tasks_held']);
  if (scope !== undefined) query = query.where('tasks_held', '>', 0);
  const rows = await query.orderBy('last_seen_at', 'desc').orderBy('workers.worker_id').limit(input.limit).execute();
  return {
    workers: rows.map((row) => ({
      worker_id: row.worker_id,
      last_acquire_at: toIsoOrNull(row.last_acquire_at),
      last_heartbeat_at: toIsoOrNull(row.last_heartbeat_at),
      tasks_held: Number(row.tasks_held ?? 0),
    })),
  };
}

/** Uses the index tasks_lease, or tasks_working. */
function tasksHeld(reader: Querier, scope: Scope) {
  const areas = findAreas({}, scope);
  let held = reader.kysely
    .selectFrom('tasks')
    .select(['tasks.worker_id', ({ fn }) => fn.countAll<number>().as('tasks_held')])
    .where('status', '=', sql.lit('working'));
  if (areas !== undefined) held = held.where((builder) => inAreas(builder, builder.ref('work_directory'), areas));
  return held.groupBy('tasks.worker_id');
}

/** With a scope only those that hold a task there. */
export async function countWorkersSeenSince(reader: Querier, since: number, scope: Scope): Promise<number> {
  let query = reader.kysely
    .selectFrom('workers')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('last_seen_at', '>=', since);
  if (scope !== undefined) {
    query = query.where(
      'worker_id',
      'in',
      reader.kysely.selectFrom(tasksHeld(reader, scope).as('held')).select('held.worker_id'),
    );
  }
  const row = await query.executeTakeFirstOrThrow();
  return Number(row.count);
}

/** When a server last wrote an event or saw a worker: until then workers could reach one. */
export async function lastSignOfLife(reader: Querier): Promise<number> {
  const event = await reader.kysely
    .selectFrom('events')
    .select('at')
    .orderBy('seq', 'desc')
    .limit(1)
    .executeTakeFirst();
  const worker = await reader.kysely
    .selectFrom('workers')
    .select('last_seen_at')
    .orderBy('last_seen_at', 'desc')
    .limit(1)
    .executeTakeFirst();
  return Math.max(event?.at ?? 0, worker?.last_seen_at ?? 0);
}

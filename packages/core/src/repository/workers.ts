import type { WorkersInput, WorkersOutput } from '@task-orchestrator/contract';
import { sql } from 'kysely';
import type { z } from 'zod';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Querier } from '../db/engine.ts';
import { toIsoOrNull } from './task-row.ts';

export interface WorkerSighting {
  readonly worker_id: string;
  readonly last_acquire_at: number | null;
  readonly last_heartbeat_at: number | null;
}

/** Writes down when workers were last seen. */
export const saveSightings = defineVerb<readonly WorkerSighting[], void>({
  stage: 0,
  async run(commit, items) {
    const { kysely } = commit.tx;
    for (const { worker_id, last_acquire_at, last_heartbeat_at } of items.flat()) {
      const last_seen_at = Math.max(last_acquire_at ?? 0, last_heartbeat_at ?? 0);
      await kysely
        .insertInto('workers')
        .values({ worker_id, last_acquire_at, last_heartbeat_at, last_seen_at })
        .onConflict((conflict) =>
          conflict.column('worker_id').doUpdateSet(({ fn, ref }) => ({
            last_acquire_at: fn.coalesce(ref('excluded.last_acquire_at'), ref('workers.last_acquire_at')),
            last_heartbeat_at: fn.coalesce(ref('excluded.last_heartbeat_at'), ref('workers.last_heartbeat_at')),
            last_seen_at,
          })),
        )
        .execute();
    }
    return items.map(() => undefined);
  },
});

/** Last seen first, with how many tasks each holds. */
export async function listWorkers(
  reader: Querier,
  input: z.output<typeof WorkersInput>,
): Promise<z.infer<typeof WorkersOutput>> {
  const rows = await reader.kysely
    .selectFrom('workers')
    .leftJoin(
      (query) =>
        query
          .selectFrom('tasks')
          .select(['tasks.worker_id', ({ fn }) => fn.countAll<number>().as('tasks_held')])
          .where('status', '=', sql.lit('working'))
          .groupBy('tasks.worker_id')
          .as('held'),
      (join) => join.onRef('held.worker_id', '=', 'workers.worker_id'),
    )
    .select(['workers.worker_id', 'last_acquire_at', 'last_heartbeat_at', 'tasks_held'])
    .orderBy('last_seen_at', 'desc')
    .orderBy('workers.worker_id')
    .limit(input.limit)
    .execute();
  return {
    workers: rows.map((row) => ({
      worker_id: row.worker_id,
      last_acquire_at: toIsoOrNull(row.last_acquire_at),
      last_heartbeat_at: toIsoOrNull(row.last_heartbeat_at),
      tasks_held: Number(row.tasks_held ?? 0),
    })),
  };
}

export async function countWorkersSeenSince(reader: Querier, since: number): Promise<number> {
  const row = await reader.kysely
    .selectFrom('workers')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('last_seen_at', '>=', since)
    .executeTakeFirstOrThrow();
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

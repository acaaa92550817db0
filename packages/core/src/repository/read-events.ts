import type { EventsInput, EventsOutput, TaskEvent } from '@task-orchestrator/contract';
import { sql, type Selectable, type SelectQueryBuilder } from 'kysely';
import type { z } from 'zod';
import { defineStatement, type Engine, type Querier } from '../db/engine.ts';
import type { Database } from '../db/schema.ts';
import { wantedTypes, type EventFilter } from '../dispatch/event-feed.ts';
import { findAreas } from '../domain/scope.ts';
import { refuseUnknown } from '../domain/task-state.ts';
import { readCursor } from './cursor.ts';
import { inAreas } from './in-areas.ts';
import { toIso } from './task-row.ts';

const taskSeq = defineStatement<[task_id: string], { seq: number; log_bytes: number }>((kysely, arg) =>
  kysely.selectFrom('tasks').select(['seq', 'log_bytes']).where('task_id', '=', arg(0)),
);

/** @throws TASK_NOT_FOUND */
export async function findTaskSeq(reader: Querier, task_id: string): Promise<{ seq: number; log_bytes: number }> {
  const [row] = await reader.all(taskSeq, [task_id]);
  if (!row) throw refuseUnknown(task_id);
  return row;
}

/** The history of one task, oldest first. */
export async function listEvents(
  reader: Querier,
  input: z.output<typeof EventsInput>,
): Promise<z.infer<typeof EventsOutput>> {
  const { seq } = await findTaskSeq(reader, input.task_id);
  const rows = await selectEvents(reader)
    .where('events.task_seq', '=', seq)
    .where('events.seq', '>', input.cursor === undefined ? 0 : readCursor(input.cursor))
    .limit(input.limit + 1)
    .execute();
  const events = rows.slice(0, input.limit).map(toEvent);
  return { events, next_cursor: rows.length > input.limit ? String(rows[input.limit - 1]!.seq) : null };
}

/** A page of the global order after `after` and up to `upTo`, with what the filter lets through. */
export async function pageOfEvents(
  { reader }: Engine,
  page: { filter: EventFilter; after: number; upTo: number; limit: number },
): Promise<TaskEvent[]> {
  const { filter } = page;
  let query = selectEvents(reader).where('events.seq', '>', page.after).where('events.seq', '<=', page.upTo);
  if (filter.task_id !== undefined) query = query.where('tasks.task_id', '=', filter.task_id);
  if (filter.status !== undefined) query = query.where('events.status', '=', filter.status);
  const types = wantedTypes(filter);
  if (types !== null) query = query.where('events.type', 'in', types);
  if (filter.worker_id !== undefined) query = query.where('events.worker_id', '=', filter.worker_id);
  const areas = findAreas(filter, filter.scope);
  if (areas !== undefined)
    query = query.where((builder) => inAreas(builder, builder.ref('tasks.work_directory'), areas));
  return (await query.limit(page.limit).execute()).map(toEvent);
}

type EventRow = Selectable<Database['events']> & { task_id: string; work_directory: string };

function selectEvents(reader: Querier): SelectQueryBuilder<Database, 'events' | 'tasks', EventRow> {
  return reader.kysely
    .selectFrom('events')
    .innerJoin('tasks', 'tasks.seq', 'events.task_seq')
    .select(['events.seq', 'events.task_seq', 'events.type', 'events.status', 'events.attempt', 'events.lease_epoch'])
    .select(['events.worker_id', 'events.data', 'events.at', 'tasks.task_id', 'tasks.work_directory'])
    .orderBy(sql`events.seq`) as unknown as SelectQueryBuilder<Database, 'events' | 'tasks', EventRow>;
}

function toEvent(row: EventRow): TaskEvent {
  return {
    event_id: String(row.seq),
    type: row.type,
    task_id: row.task_id,
    work_directory: row.work_directory,
    status: row.status,
    attempt: row.attempt,
    lease_epoch: row.lease_epoch,
    worker_id: row.worker_id,
    data: row.data === null ? null : (JSON.parse(row.data) as Record<string, unknown>),
    at: toIso(row.at),
  };
}

import { z } from 'zod';
import { TaskId, TaskStatus, Timestamp, WorkerId } from './task.ts';
import { WorkDirectory } from './work-directory.ts';

export const EventType = z
  .enum([
    'created',
    'ready',
    'acquired',
    'completed',
    'attempt_failed',
    'failed',
    'lease_lost',
    'released',
    'cancel_requested',
    'cancelled',
    'retried',
  ])
  .meta({ id: 'EventType' });
export type EventType = z.infer<typeof EventType>;

/** One entry of a task's append-only history; `status` is the task's status after it. */
export const TaskEvent = z
  .object({
    event_id: z.string().meta({ description: 'Position in the global order; what `Last-Event-ID` takes' }),
    type: EventType,
    task_id: TaskId,
    work_directory: WorkDirectory,
    status: TaskStatus,
    attempt: z.int(),
    lease_epoch: z.int(),
    worker_id: WorkerId.nullable(),
    data: z
      .record(z.string(), z.unknown())
      .nullable()
      .meta({ description: 'What else is to know: reason, error, next run' }),
    at: Timestamp,
  })
  .meta({ id: 'TaskEvent' });
export type TaskEvent = z.infer<typeof TaskEvent>;

export const EventsOutput = z.object({ events: z.array(TaskEvent), next_cursor: z.string().nullable() });

export const StreamInput = z.strictObject({
  work_directory: WorkDirectory.optional(),
  subtree: z.boolean().optional(),
  task_id: TaskId.optional(),
  status: TaskStatus.optional(),
  type: z.union([EventType, z.array(EventType).min(1)]).optional(),
  worker_id: WorkerId.optional(),
  last_event_id: z
    .string()
    .regex(/^\d{1,16}$/, 'must be an event_id')
    .optional(),
});
export type StreamInput = z.output<typeof StreamInput>;

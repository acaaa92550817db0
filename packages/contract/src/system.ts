import { z } from 'zod';
import { TaskStatus, Timestamp, WorkerId } from './task.ts';
import { WorkDirectory } from './work-directory.ts';

export const NoInput = z.strictObject({});

export const Worker = z
  .object({
    worker_id: WorkerId,
    last_acquire_at: Timestamp.nullable(),
    last_heartbeat_at: Timestamp.nullable(),
    tasks_held: z.int(),
  })
  .meta({ id: 'Worker' });
export type Worker = z.infer<typeof Worker>;
export const WorkersInput = z.strictObject({ limit: z.int().min(1).max(1000).default(200) });
export const WorkersOutput = z.object({ workers: z.array(Worker).meta({ description: 'Last seen first' }) });

/** Settings of a path and what goes on there. */
export const PathState = z
  .object({
    path: WorkDirectory,
    paused: z.boolean().meta({ description: 'No task of the path or below is handed out' }),
    max_concurrent: z
      .int()
      .nullable()
      .meta({ description: 'How many tasks may work on the path, below it or above it at a time; null = no limit' }),
    weight: z.number().meta({ description: 'Share of turns beside other paths' }),
    waiting: z.int(),
    working: z.int(),
  })
  .meta({ id: 'PathState' });
export type PathState = z.infer<typeof PathState>;
export const PathsInput = z.strictObject({
  limit: z.int().min(1).max(1000).default(200),
  cursor: z.string().min(1).max(5000).optional(),
});
export const PathsOutput = z.object({ paths: z.array(PathState), next_cursor: z.string().nullable() });
export const SetPathInput = z.strictObject({
  path: WorkDirectory,
  paused: z.boolean().optional(),
  max_concurrent: z.int().min(1).max(100_000).nullable().optional(),
  weight: z.number().min(0.01).max(100).optional(),
});
export type SetPathInput = z.output<typeof SetPathInput>;

const StatusCounts = z.record(TaskStatus, z.int());
export const Statistics = z
  .object({
    total_tasks: z.int(),
    tasks: StatusCounts.meta({ description: 'How many tasks have each status' }),
    oldest_waiting_seconds: z.number().nullable(),
    workers: z.int().meta({ description: 'Workers seen in the last five minutes' }),
    uptime_seconds: z.number(),
  })
  .meta({ id: 'Statistics' });
export type Statistics = z.infer<typeof Statistics>;

export const Health = z
  .object({
    status: z
      .enum(['healthy', 'degraded', 'unhealthy'])
      .meta({ description: 'degraded: reads go on, writes are refused' }),
    timestamp: Timestamp,
    version: z.string(),
    uptime: z.string().meta({ examples: ['1h30m'] }),
    components: z.object({
      database: z.object({
        healthy: z.boolean(),
        response_time: z.number().meta({ description: 'Milliseconds' }),
        last_checked: Timestamp,
        problem: z.string().optional().meta({ description: 'Why writes are refused; absent while they go through' }),
      }),
    }),
    metrics: z.object({
      memory_usage: z.string().meta({ examples: ['78MB'] }),
      cpu_usage: z.number().meta({ description: 'Percent of one core' }),
      active_connections: z.int(),
      queue_size: z.int().meta({ description: 'Waiting tasks' }),
    }),
  })
  .meta({ id: 'Health' });
export type Health = z.infer<typeof Health>;

import { z } from 'zod';
import { shortText, Text } from './text.ts';
import { WorkDirectory } from './work-directory.ts';

export const PROMPT_MAX_BYTES = 256 * 1024;
export const JSON_MAX_BYTES = 1024 * 1024;

export const TaskStatus = z
  .enum(['blocked', 'scheduled', 'waiting', 'working', 'completed', 'failed', 'cancelled'])
  .meta({ id: 'TaskStatus' });
export type TaskStatus = z.infer<typeof TaskStatus>;

export const Priority = z.enum(['low', 'medium', 'high']).meta({ id: 'Priority' });
export type Priority = z.infer<typeof Priority>;

/** UUIDv7 string; lower case. */
export const TaskId = z
  .string()
  .regex(/^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/, 'must be a UUID')
  .overwrite((id) => id.toLowerCase())
  .meta({ examples: ['01920000-0000-7000-8000-000000000000'] });

/** ISO 8601, UTC, milliseconds. */
export const Timestamp = z.string().meta({ format: 'date-time', examples: ['2024-01-01T00:00:00.000Z'] });

/** Any ISO 8601 instant with an offset; what callers may send. */
export const Instant = z.iso.datetime({
  offset: true,
  error: 'must be an ISO 8601 time with a zone, such as 2024-01-01T00:00:00Z',
});

export const Tag = shortText(64);
export const Tags = z.array(Tag).max(32, 'must have at most 32 tags');
export const Json = z.unknown().meta({ description: 'Any JSON value' });
export const Metadata = z.record(z.string(), Json);
export const WorkerId = shortText(200);
export const IdempotencyKey = shortText(255);

/**
 * How long an idempotency key stands for its task: until the task has finished, a number of hours
 * (0 to 8,760) after it has finished, or for ever.
 */
export const IdempotencyWindow = z.union([z.literal('until_finished'), z.literal('forever'), z.int().min(0).max(8760)]);
export type IdempotencyWindow = z.infer<typeof IdempotencyWindow>;

export const Prompt = Text.min(1, 'must not be empty')
  .refine((prompt) => hasAtMostBytes(prompt, PROMPT_MAX_BYTES), `must have at most ${PROMPT_MAX_BYTES} bytes of UTF-8`)
  .meta({ description: 'What to do: 1 byte to 256 KiB of UTF-8' });

/** Where a running task stands, as its worker last said. */
export const Progress = z
  .object({
    percent: z.number().min(0).max(100).nullable().default(null),
    message: z.string().max(1000, 'must have at most 1000 characters').nullable().default(null),
  })
  .meta({ id: 'Progress' });
export type Progress = z.infer<typeof Progress>;

/** What a worker hands in. `failure` counts as a fail; further keys are kept as they are; `duration` is the worker's own unit. */
export const TaskResult = z
  .looseObject({
    status: z.enum(['success', 'failure']).default('success'),
    output: Json.optional(),
    duration: z.number().optional(),
  })
  .meta({ id: 'TaskResult' });
export type TaskResult = z.infer<typeof TaskResult>;

/** Why the last attempt ended badly. */
export const TaskError = z
  .object({ code: z.string(), message: z.string(), retryable: z.boolean() })
  .meta({ id: 'TaskError' });
export type TaskError = z.infer<typeof TaskError>;

export const OnDependencyFailure = z.enum(['cancel', 'run']);
export type OnDependencyFailure = z.infer<typeof OnDependencyFailure>;

/** One unit of work, as every door shows it. */
export const Task = z
  .object({
    task_id: TaskId,
    work_directory: WorkDirectory,
    prompt: Prompt,
    priority: Priority,
    tags: Tags,
    metadata: Metadata,
    status: TaskStatus,
    attempt: z.int().meta({ description: 'How many times the task has been started in earnest' }),
    max_attempts: z.int(),
    timeout_seconds: z.int().meta({ description: 'What a single attempt may take, in seconds' }),
    exclusive: z.boolean(),
    depends_on: z.array(TaskId),
    on_dependency_failure: OnDependencyFailure,
    idempotency_key: IdempotencyKey.nullable(),
    run_at: Timestamp.meta({ description: 'Not handed out before' }),
    worker_id: WorkerId.nullable().meta({ description: 'Who holds the task, or held it last' }),
    lease_epoch: z.int().meta({ description: 'Grows by one at each acquisition: a fence to hand on' }),
    lease_expires_at: Timestamp.nullable(),
    cancel_requested: z.boolean(),
    cancel_reason: z.string().nullable(),
    progress: Progress.nullable(),
    result: TaskResult.nullable(),
    error: TaskError.nullable(),
    created_at: Timestamp,
    updated_at: Timestamp,
    started_at: Timestamp.nullable().meta({ description: 'Start of the current or last attempt' }),
    finished_at: Timestamp.nullable(),
  })
  .meta({ id: 'Task' });
export type Task = z.infer<typeof Task>;

/** A task as only its new holder sees it. */
export const AcquiredTask = Task.extend({
  lease_token: z.string().meta({ description: 'Proves the lease; hand it back with every call about this task' }),
}).meta({ id: 'AcquiredTask' });
export type AcquiredTask = z.infer<typeof AcquiredTask>;

/** Where a task stands after a write, without its prompt and result. */
export const TaskReceipt = z
  .object({
    task_id: TaskId,
    status: TaskStatus,
    attempt: z.int(),
    run_at: Timestamp,
    created_at: Timestamp,
    updated_at: Timestamp,
    finished_at: Timestamp.nullable(),
  })
  .meta({ id: 'TaskReceipt' });
export type TaskReceipt = z.infer<typeof TaskReceipt>;

/** How a task ended, for those who wait for it. */
export const TaskOutcome = z
  .object({
    task_id: TaskId,
    status: TaskStatus,
    attempt: z.int(),
    result: TaskResult.nullable(),
    error: TaskError.nullable(),
    finished_at: Timestamp.nullable(),
  })
  .meta({ id: 'TaskOutcome' });
export type TaskOutcome = z.infer<typeof TaskOutcome>;

function hasAtMostBytes(text: string, limit: number): boolean {
  // A UTF-16 unit takes at most three bytes of UTF-8, so short texts need no counting.
  return text.length * 3 <= limit || new TextEncoder().encode(text).length <= limit;
}

import { z } from 'zod';
import { ErrorBody } from './errors.ts';
import {
  AcquiredTask,
  IdempotencyKey,
  IdempotencyWindow,
  Instant,
  Metadata,
  OnDependencyFailure,
  Priority,
  Progress,
  Prompt,
  Tag,
  Tags,
  Task,
  TaskId,
  TaskOutcome,
  TaskReceipt,
  TaskResult,
  TaskStatus,
  Timestamp,
  WorkerId,
} from './task.ts';
import { shortText, Text } from './text.ts';
import { WorkDirectory, WorkPath } from './work-directory.ts';

export const MAX_WAIT_SECONDS = 60;

const LeaseToken = shortText(100);
const LeaseSeconds = z.int().min(1).max(86_400);
const WaitSeconds = z.number().min(0).max(MAX_WAIT_SECONDS).meta({
  description: 'Long poll: how long to wait at most. Waits of 5 s and more may end up to half a second early',
});
const Reason = shortText(1000);
const Cursor = shortText(200).meta({ description: 'The `next_cursor` of the page before' });
const Ref = shortText(64);

const taskDraft = {
  work_directory: WorkDirectory,
  prompt: Prompt,
  priority: Priority.default('medium'),
  tags: Tags.default([]),
  metadata: Metadata.default({}),
  max_attempts: z.int().min(1).max(1000).optional(),
  timeout_seconds: z.int().min(1).max(604_800).optional(),
  exclusive: z
    .boolean()
    .default(false)
    .meta({ description: 'Keeps every other task off the directory, its parents and its children' }),
  on_dependency_failure: OnDependencyFailure.default('cancel'),
  idempotency_key: IdempotencyKey.optional(),
  idempotency_window: IdempotencyWindow.default(24),
  run_at: Instant.optional(),
};

export const CreateTask = z.strictObject({
  ...taskDraft,
  depends_on: z.array(TaskId).max(100, 'must have at most 100 tasks').default([]),
});
export type CreateTask = z.output<typeof CreateTask>;

/** A task of a batch: `ref` names it inside the batch, and `depends_on` may hold such names beside task ids. */
export const BatchTask = z.strictObject({
  ...taskDraft,
  ref: Ref.optional(),
  depends_on: z
    .array(Ref)
    .max(100, 'must have at most 100 tasks')
    .default([])
    .meta({ description: 'Task ids, or `ref`s of the same batch' }),
});
export type BatchTask = z.output<typeof BatchTask>;

export const CreateManyInput = z.strictObject({
  tasks: z.array(BatchTask).min(1, 'must have at least 1 task').max(1000, 'must have at most 1000 tasks'),
});
export const CreateManyOutput = z.object({
  tasks: z.array(TaskReceipt.extend({ ref: Ref.nullable() })).meta({ description: 'In the order of the request' }),
});

export const TaskIdInput = z.strictObject({ task_id: TaskId });

const filterShape = {
  status: z.union([TaskStatus, z.array(TaskStatus).min(1)]).optional(),
  priority: Priority.optional(),
  work_directory: WorkDirectory.optional(),
  subtree: z.boolean().optional().meta({ description: 'Also everything below `work_directory`' }),
  tag: Tag.optional(),
  worker_id: WorkerId.optional(),
};

export const ListInput = z.strictObject({
  ...filterShape,
  limit: z.int().min(1).max(500).default(50),
  offset: z.int().min(0).default(0),
  cursor: Cursor.optional(),
});
export type ListInput = z.output<typeof ListInput>;
export const ListOutput = z.object({
  tasks: z.array(Task).meta({ description: 'Newest first' }),
  total: z.int().optional().meta({ description: 'Exact; left out when a cursor was given' }),
  next_cursor: z.string().nullable(),
});

export const TaskFilter = z
  .strictObject(filterShape)
  .refine((filter) => Object.values(filter).some((value) => value !== undefined), 'must name at least one condition');
export type TaskFilter = z.output<typeof TaskFilter>;

export const AcquireInput = z.strictObject({
  work_path: WorkPath.optional(),
  work_paths: z.array(WorkPath).min(1).max(100).optional().meta({ description: 'Several paths; they take turns' }),
  subtree: z.boolean().default(false).meta({ description: 'Also every directory below' }),
  worker_id: WorkerId,
  limit: z.int().min(1).max(500).default(1),
  wait_seconds: WaitSeconds.default(0),
  lease_seconds: LeaseSeconds.optional(),
  tags_any: z.array(Tag).min(1).max(32).optional().meta({ description: 'Only tasks with at least one of these tags' }),
  acquire_id: z
    .string()
    .min(1)
    .max(100)
    .optional()
    .meta({ description: 'Makes a repeated call answer the same tasks' }),
});
export type AcquireInput = z.output<typeof AcquireInput>;

export const EmptyReason = z.enum(['empty', 'paused', 'path_busy', 'limit']).meta({
  description:
    'Nothing is ready; the paths are paused; a running task or a path limit is in the way; the system-wide limit is reached',
});
export type EmptyReason = z.infer<typeof EmptyReason>;
export const AcquireOutput = z.object({
  tasks: z.array(AcquiredTask),
  reason: EmptyReason.optional().meta({ description: 'Why there is no task' }),
  retry_after_seconds: z.number().optional().meta({ description: 'When to come back, at the latest' }),
});
export type AcquireOutput = z.infer<typeof AcquireOutput>;

export const NextInput = z.strictObject({
  work_path: WorkPath,
  worker_id: WorkerId,
  subtree: z.boolean().default(false),
  lease_seconds: LeaseSeconds.optional().meta({ description: "The task's `timeout_seconds` unless given" }),
  wait_seconds: WaitSeconds.default(0),
});
export type NextInput = z.output<typeof NextInput>;
export const NextOutput = AcquiredTask.nullable();

export const HeartbeatInput = z.strictObject({
  task_id: TaskId,
  lease_token: LeaseToken,
  lease_seconds: LeaseSeconds.optional(),
  progress: Progress.optional(),
});
export type HeartbeatInput = z.output<typeof HeartbeatInput>;
export const HeartbeatReply = z
  .object({ lease_expires_at: Timestamp, cancel_requested: z.boolean(), cancel_reason: z.string().nullable() })
  .meta({ id: 'HeartbeatReply' });
export type HeartbeatReply = z.infer<typeof HeartbeatReply>;

export const CompleteInput = z.strictObject({
  task_id: TaskId,
  lease_token: LeaseToken.optional(),
  original_prompt: Text.optional().meta({ description: 'Refused when it differs from the prompt' }),
  result: TaskResult.default({ status: 'success' }),
});
export type CompleteInput = z.output<typeof CompleteInput>;

/** Answers to the items of the request, in its order: a value or an error. */
function manyOf<Value extends z.ZodType>(value: Value) {
  return z.object({
    results: z.array(
      z.object({
        index: z.int().min(0).meta({ description: 'Place in the request, from 0' }),
        task_id: TaskId,
        value: value.nullable(),
        error: ErrorBody.nullable(),
      }),
    ),
  });
}
const MANY = 1000;
export const HeartbeatManyInput = z.strictObject({ heartbeats: z.array(HeartbeatInput).min(1).max(MANY) });
export const HeartbeatManyOutput = manyOf(HeartbeatReply);
export const CompleteManyInput = z.strictObject({
  completions: z.array(CompleteInput).min(1).max(MANY),
  refusals_only: z
    .boolean()
    .optional()
    .meta({ description: 'Answer only with what was refused: what is not in the results was done' }),
});
export const CompleteManyOutput = manyOf(TaskReceipt);

export const FailInput = z.strictObject({
  task_id: TaskId,
  lease_token: LeaseToken,
  error: z.strictObject({
    code: z.string().min(1).max(100).default('TASK_FAILED'),
    message: z.string().min(1, 'must not be empty').max(10_000, 'must have at most 10000 characters'),
  }),
  retryable: z.boolean().default(true),
  retry_after_seconds: z.number().min(0).max(604_800).optional().meta({ description: 'Instead of the usual backoff' }),
});
export type FailInput = z.output<typeof FailInput>;

export const ReleaseInput = z.strictObject({ task_id: TaskId, lease_token: LeaseToken, reason: Reason.optional() });
export type ReleaseInput = z.output<typeof ReleaseInput>;

export const CancelInput = z.strictObject({
  task_id: TaskId,
  reason: Reason.optional(),
  force: z.boolean().default(false).meta({ description: 'Ends the lease of a working task at once' }),
});
export type CancelInput = z.output<typeof CancelInput>;

export const CancelManyInput = z.strictObject({
  filter: TaskFilter,
  reason: Reason.optional(),
  force: z.boolean().default(false),
  dry_run: z.boolean().default(false).meta({ description: 'Only count what would change' }),
});
export const RetryManyInput = z.strictObject({ filter: TaskFilter, dry_run: z.boolean().default(false) });
export const ManyOutput = z.object({
  matched: z.int().meta({ description: 'Tasks of the filter that the operation applies to' }),
  changed: z.int().meta({ description: 'Tasks changed; 0 in a dry run' }),
});

export const LogStream = z.enum(['stdout', 'stderr', 'info']);
export const AppendLogInput = z.strictObject({
  task_id: TaskId,
  lease_token: LeaseToken,
  entries: z
    .array(
      z.strictObject({
        stream: LogStream.default('stdout'),
        text: z.string().max(65_536, 'must have at most 65536 characters'),
        at: Instant.optional(),
      }),
    )
    .min(1)
    .max(MANY),
});
export type AppendLogInput = z.output<typeof AppendLogInput>;
export const AppendLogOutput = z.object({
  appended: z.int(),
  truncated: z.boolean().meta({ description: 'The log of the task is full; what came after is dropped' }),
});
export const LogEntry = z
  .object({ seq: z.int(), at: Timestamp, attempt: z.int(), stream: LogStream, text: z.string() })
  .meta({ id: 'LogEntry' });
export type LogEntry = z.infer<typeof LogEntry>;

const Page = { cursor: Cursor.optional(), limit: z.int().min(1).max(1000).default(100) };
export const LogsInput = z.strictObject({ task_id: TaskId, ...Page });
export const LogsOutput = z.object({
  entries: z.array(LogEntry),
  truncated: z.boolean(),
  next_cursor: z.string().nullable(),
});
export const EventsInput = z.strictObject({ task_id: TaskId, ...Page });

export const WaitInput = z.strictObject({
  task_ids: z.array(TaskId).min(1).max(100, 'must have at most 100 tasks'),
  until: z.enum(['any', 'all']).default('all'),
  wait_seconds: WaitSeconds.default(30),
});
export type WaitInput = z.output<typeof WaitInput>;
export const WaitOutput = z.object({
  done: z.boolean().meta({ description: 'Whether `until` was reached' }),
  finished: z.array(TaskOutcome),
  pending: z.array(TaskId),
});

import type { AcquiredTask, Task, TaskError, TaskOutcome, TaskReceipt, TaskResult } from '@task-orchestrator/contract';
import type { Selectable } from 'kysely';
import type { TasksTable } from '../db/schema.ts';
import { priorityOfRank } from '../domain/priority.ts';
import type { Cipher } from '../encryption/cipher.ts';

export type TaskRow = Selectable<TasksTable>;

/** What every rule needs to know of a task: all but its large and descriptive columns. */
export const CONTROL_COLUMNS = [
  'seq',
  'task_id',
  'work_directory',
  'status',
  'priority',
  'attempt',
  'max_attempts',
  'timeout_seconds',
  'exclusive',
  'on_dependency_failure',
  'run_at',
  'worker_id',
  'acquire_id',
  'lease_token',
  'lease_epoch',
  'lease_state',
  'lease_seconds',
  'lease_expires_at',
  'cancel_requested',
  'log_bytes',
  'created_at',
  'updated_at',
  'started_at',
  'finished_at',
  'cancel_reason',
] as const satisfies readonly (keyof TasksTable)[];

export const TASK_COLUMNS = [
  ...CONTROL_COLUMNS,
  'idempotency_key',
  'idempotency_body',
  'idempotency_window_hours',
  'progress',
  'error',
  'depends_on',
  'tags',
  'metadata',
  'prompt',
  'result',
] as const satisfies readonly (keyof TasksTable)[];

export type ControlRow = Pick<TaskRow, (typeof CONTROL_COLUMNS)[number]>;

/** @throws UnreadableError */
export function toTask(row: TaskRow, cipher: Cipher): Task {
  return {
    task_id: row.task_id,
    work_directory: row.work_directory,
    prompt: cipher.open(row.prompt, row.task_id, 'prompt'),
    priority: priorityOfRank(row.priority),
    tags: row.tags === null ? [] : parse<string[]>(row.tags),
    metadata: row.metadata === null ? {} : parse<Task['metadata']>(row.metadata),
    status: row.status,
    attempt: row.attempt,
    max_attempts: row.max_attempts,
    timeout_seconds: row.timeout_seconds,
    exclusive: row.exclusive === 1,
    depends_on: row.depends_on === null ? [] : parse<string[]>(row.depends_on),
    on_dependency_failure: row.on_dependency_failure,
    idempotency_key: row.idempotency_key,
    run_at: toIso(row.run_at),
    worker_id: row.worker_id,
    lease_epoch: row.lease_epoch,
    lease_expires_at: row.status === 'working' ? toIsoOrNull(row.lease_expires_at) : null,
    cancel_requested: row.cancel_requested === 1,
    cancel_reason: row.cancel_reason,
    progress: row.progress === null ? null : parse<Task['progress']>(row.progress),
    result: toResult(row, cipher),
    error: row.error === null ? null : parse<TaskError>(row.error),
    created_at: toIso(row.created_at),
    updated_at: toIso(row.updated_at),
    started_at: toIsoOrNull(row.started_at),
    finished_at: toIsoOrNull(row.finished_at),
  };
}

/** @throws UnreadableError */
export function toAcquiredTask(row: TaskRow, cipher: Cipher): AcquiredTask {
  if (row.lease_token === null) throw new Error(`task ${row.task_id} was acquired without a lease token`);
  return Object.assign(toTask(row, cipher), { lease_token: row.lease_token });
}

export function toReceipt(row: ControlRow): TaskReceipt {
  return {
    task_id: row.task_id,
    status: row.status,
    attempt: row.attempt,
    run_at: toIso(row.run_at),
    created_at: toIso(row.created_at),
    updated_at: toIso(row.updated_at),
    finished_at: toIsoOrNull(row.finished_at),
  };
}

/** @throws UnreadableError */
export function toOutcome(row: ControlRow & Pick<TaskRow, 'result' | 'error'>, cipher: Cipher): TaskOutcome {
  return {
    task_id: row.task_id,
    status: row.status,
    attempt: row.attempt,
    result: toResult(row, cipher),
    error: row.error === null ? null : parse<TaskError>(row.error),
    finished_at: toIsoOrNull(row.finished_at),
  };
}

function toResult({ result, task_id }: Pick<TaskRow, 'result' | 'task_id'>, cipher: Cipher): TaskResult | null {
  return result === null ? null : parse<TaskResult>(cipher.open(result, task_id, 'result'));
}

const KEPT = 64;
const keptMs = new Float64Array(KEPT);
const keptIso = Array.from({ length: KEPT }, () => '1970-01-01T00:00:00.000Z');

/** The last few texts are kept: what a commit touches has its time, and what was created together was created together. */
export function toIso(ms: number): string {
  const place = ms % KEPT;
  if (keptMs[place] !== ms) {
    keptIso[place] = new Date(ms).toISOString();
    keptMs[place] = ms;
  }
  return keptIso[place]!;
}

export function toIsoOrNull(ms: number | null): string | null {
  return ms === null ? null : toIso(ms);
}

/** Only our own verbs write JSON columns, from values that passed the contract. */
function parse<Value>(json: string): Value {
  return JSON.parse(json) as Value;
}

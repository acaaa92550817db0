import type { EventType, OnDependencyFailure, TaskStatus } from '@task-orchestrator/contract';
import type { Generated } from 'kysely';

/** Times are milliseconds since the epoch, booleans 0 or 1, JSON is text: the same in every engine. */
export interface Database {
  tasks: TasksTable;
  task_dependencies: { task_seq: number; depends_on_seq: number };
  events: EventsTable;
  task_logs: TaskLogsTable;
  workers: {
    worker_id: string;
    last_acquire_at: number | null;
    last_heartbeat_at: number | null;
    last_seen_at: number;
  };
  paths: { path: string; paused: number; max_concurrent: number | null; weight: number };
  api_keys: ApiKeysTable;
  /** Under which there may be values in the database. */
  encryption_keys: { key_id: string; first_used_at: number };
  schema_migrations: { version: number; name: string; applied_at: number };
}

export interface ApiKeysTable {
  key_id: string;
  name: string;
  /** SHA-256 of the secret, as lower-case hex. */
  hash: string;
  /** JSON. */
  roles: string;
  /** JSON; empty: everywhere. */
  path_prefixes: string;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  /** Of the secret before the last rotation, valid until the time beside it. */
  previous_hash: string | null;
  previous_expires_at: number | null;
}

/**
 * How the latest lease of a task stands. `expired` alone leaves the door open for a late completion;
 * the others say with which call its holder ended it, so that a repeated call gets the same answer.
 */
export type LeaseState = 'live' | 'expired' | 'completed' | 'failed' | 'released' | 'revoked';

export interface TasksTable {
  /** Creation order. */
  seq: Generated<number>;
  task_id: string;
  work_directory: string;
  status: TaskStatus;
  /** Rank: 0 low, 1 medium, 2 high. */
  priority: number;
  attempt: number;
  max_attempts: number;
  timeout_seconds: number;
  exclusive: number;
  on_dependency_failure: OnDependencyFailure;
  run_at: number;
  worker_id: string | null;
  acquire_id: string | null;
  lease_token: string | null;
  lease_epoch: number;
  lease_state: LeaseState | null;
  /** How long a heartbeat extends the lease unless it says otherwise. */
  lease_seconds: number | null;
  lease_expires_at: number | null;
  cancel_requested: number;
  idempotency_key: string | null;
  /** JSON: what was asked with the key, as far as other columns do not show it. */
  idempotency_body: string | null;
  idempotency_window_hours: number | null;
  log_bytes: number;
  created_at: number;
  updated_at: number;
  started_at: number | null;
  finished_at: number | null;
  cancel_reason: string | null;
  progress: string | null;
  error: string | null;
  depends_on: string | null;
  tags: string | null;
  metadata: string | null;
  prompt: string;
  result: string | null;
}

export interface EventsTable {
  /** The order over all tasks. */
  seq: Generated<number>;
  task_seq: number;
  type: EventType;
  status: TaskStatus;
  attempt: number;
  lease_epoch: number;
  worker_id: string | null;
  data: string | null;
  at: number;
}

export interface TaskLogsTable {
  seq: Generated<number>;
  task_seq: number;
  at: number;
  attempt: number;
  stream: 'stdout' | 'stderr' | 'info';
  text: string;
}

import type { HeartbeatInput, HeartbeatReply } from '@task-orchestrator/contract';
import { defineVerb } from '../commit/commit-queue.ts';
import type { Commit } from '../commit/commit.ts';
import { refuseLease } from '../domain/task-state.ts';
import { decideEach, lockTasks } from './load-tasks.ts';
import { toIso, type ControlRow } from './task-row.ts';

export type HeartbeatResult = HeartbeatReply & { readonly worker_id: string | null };

/** Extends leases. A lease that has run out lives on if nobody has ended it yet. */
export const heartbeatTasks = defineVerb<HeartbeatInput, HeartbeatResult>({
  stage: 0,
  async run(commit, items) {
    const tasks = await lockTasks(
      commit.tx,
      items.map(({ task_id }) => task_id),
    );
    return decideEach(items, tasks, (task, item) => extendLease(commit, task, item));
  },
});

function extendLease(commit: Commit, task: ControlRow, item: HeartbeatInput): HeartbeatResult {
  const deadline = attemptDeadline(task);
  if (!hasLease(task, item.lease_token) || commit.now >= deadline) throw refuseLease(task.task_id, task.status);
  const lease_seconds = item.lease_seconds ?? task.lease_seconds ?? commit.policy.defaultLeaseSeconds;
  const lease_expires_at = Math.min(commit.now + lease_seconds * 1000, deadline);
  const progress = item.progress === undefined ? {} : { progress: JSON.stringify(item.progress) };
  commit.update(task, { lease_expires_at, lease_seconds, updated_at: commit.now, ...progress });
  return {
    lease_expires_at: toIso(lease_expires_at),
    cancel_requested: task.cancel_requested === 1,
    cancel_reason: task.cancel_reason,
    worker_id: task.worker_id,
  };
}

export function hasLease(task: ControlRow, leaseToken: string): boolean {
  return task.status === 'working' && task.lease_state === 'live' && task.lease_token === leaseToken;
}

/** When the attempt has taken its `timeout_seconds`; no heartbeat extends a lease beyond. */
export function attemptDeadline(task: ControlRow): number {
  return (task.started_at ?? 0) + task.timeout_seconds * 1000;
}

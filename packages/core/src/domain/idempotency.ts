import type { BatchTask, IdempotencyWindow } from '@task-orchestrator/contract';
import { PRIORITY_RANK } from './priority.ts';

/** Columns of a task that never change, and tell most of the body that it came of. */
export interface ShownBody {
  readonly work_directory: string;
  /** As plain text. */
  readonly prompt: string;
  readonly priority: number;
  readonly exclusive: number;
  readonly on_dependency_failure: string;
  readonly tags: string | null;
  readonly metadata: string | null;
  /** The rest, as `hiddenBody` gives it. */
  readonly idempotency_body: string | null;
}

/** What a task does not show of the body that it came of: times that change, names, and whether a default was asked for. */
export function hiddenBody({ run_at, max_attempts, timeout_seconds, depends_on }: BatchTask): string | null {
  if (depends_on.length === 0 && (run_at ?? max_attempts ?? timeout_seconds) === undefined) return null;
  return JSON.stringify({ run_at, max_attempts, timeout_seconds, depends_on });
}

/**
 * Whether a task came of such a body, aside from how that names it: the same key with another body is a mistake. To compare
 * when a key comes again costs less than a fingerprint of every body. The trace a call came from differs when it is repeated.
 */
export function isSameBody(shown: ShownBody, task: BatchTask): boolean {
  const { traceparent: _of, ...stored } = JSON.parse(shown.metadata ?? '{}') as BatchTask['metadata'];
  const { traceparent: _now, ...metadata } = task.metadata;
  return (
    shown.work_directory === task.work_directory &&
    shown.prompt === task.prompt &&
    shown.priority === PRIORITY_RANK[task.priority] &&
    (shown.exclusive === 1) === task.exclusive &&
    shown.on_dependency_failure === task.on_dependency_failure &&
    (shown.tags ?? '[]') === JSON.stringify(task.tags) &&
    canonicalJson(stored) === canonicalJson(metadata) &&
    shown.idempotency_body === hiddenBody(task)
  );
}

/** Column value: hours after finishing; 0 with `until_finished`; null = for ever. */
export function windowHours(window: IdempotencyWindow): number | null {
  if (window === 'forever') return null;
  return window === 'until_finished' ? 0 : window;
}

/** Whether a finished task has given its key back. */
export function isKeyReleased(
  task: { finished_at: number | null; idempotency_window_hours: number | null },
  now: number,
): boolean {
  if (task.finished_at === null || task.idempotency_window_hours === null) return false;
  return now >= task.finished_at + task.idempotency_window_hours * 3_600_000;
}

/** JSON with sorted keys, so that the order in which a caller wrote them does not matter. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

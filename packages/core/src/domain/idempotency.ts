import { hash } from 'node:crypto';
import type { BatchTask, IdempotencyWindow } from '@task-orchestrator/contract';

/**
 * Fingerprint of what was asked, aside from how it was named: the same key with another body is a mistake. The
 * contract's schemas give every field but `metadata` its place. The trace a call came from differs when it is repeated.
 */
export function fingerprint(task: BatchTask): string {
  const { idempotency_key: _key, idempotency_window: _window, ref: _ref, metadata, ...body } = task;
  const { traceparent: _trace, ...said } = metadata;
  return hash('sha256', JSON.stringify(body) + canonicalJson(said), 'base64url');
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

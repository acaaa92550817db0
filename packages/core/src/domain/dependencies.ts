import type { OnDependencyFailure, TaskStatus } from '@task-orchestrator/contract';
import { isFinished } from './task-state.ts';

/**
 * Whether a task may go on, by the states of the tasks that it depends on. With `run` any end will do; with
 * `cancel` a failed or cancelled one ends the task too.
 */
export function judgeDependencies(
  statuses: readonly TaskStatus[],
  onFailure: OnDependencyFailure,
): 'met' | 'open' | 'failed' {
  if (onFailure === 'run') return statuses.every(isFinished) ? 'met' : 'open';
  if (statuses.some((status) => status === 'failed' || status === 'cancelled')) return 'failed';
  return statuses.every((status) => status === 'completed') ? 'met' : 'open';
}

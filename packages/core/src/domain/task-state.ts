import type { EventType, TaskStatus } from '@task-orchestrator/contract';
import { DomainError } from '../domain-error.ts';

interface Transition {
  readonly from: readonly TaskStatus[];
  readonly to: readonly TaskStatus[];
  /** The operation in a refusal: "only … tasks can be <verb>". */
  readonly verb: string;
}

/**
 * Every change of state there is, by the event that records it. `completed` from waiting or scheduled is the late
 * completion: the lease ran out, and nobody else has taken the task.
 */
export const TRANSITIONS = {
  created: { from: [], to: ['blocked', 'scheduled', 'waiting'], verb: 'created' },
  ready: { from: ['blocked', 'scheduled'], to: ['scheduled', 'waiting'], verb: 'made ready' },
  acquired: { from: ['waiting'], to: ['working'], verb: 'acquired' },
  completed: { from: ['working', 'waiting', 'scheduled'], to: ['completed'], verb: 'completed' },
  attempt_failed: { from: ['working'], to: ['scheduled', 'waiting'], verb: 'failed' },
  failed: { from: ['working'], to: ['failed'], verb: 'failed' },
  lease_lost: { from: ['working'], to: ['waiting'], verb: 'taken back' },
  released: { from: ['working'], to: ['waiting'], verb: 'released' },
  cancel_requested: { from: ['working'], to: ['working'], verb: 'cancelled' },
  cancelled: { from: ['blocked', 'scheduled', 'waiting', 'working'], to: ['cancelled'], verb: 'cancelled' },
  retried: { from: ['failed', 'cancelled'], to: ['blocked', 'waiting'], verb: 'retried' },
} as const satisfies Record<EventType, Transition>;

export const FINISHED: readonly TaskStatus[] = ['completed', 'failed', 'cancelled'];

export function isFinished(status: TaskStatus): boolean {
  return FINISHED.includes(status);
}

export function canTransition(type: EventType, from: TaskStatus): boolean {
  return (TRANSITIONS[type].from as readonly TaskStatus[]).includes(from);
}

/** `task 0192… is completed; only working tasks can be completed` */
export function refuseStatus(
  task_id: string,
  status: TaskStatus,
  type: 'completed' | 'failed' | 'released' | 'cancelled' | 'retried',
): DomainError {
  const { from, verb } = TRANSITIONS[type];
  const allowed = type === 'completed' ? ['working'] : from;
  return new DomainError(
    'STATUS_CONFLICT',
    `task ${task_id} is ${status}; only ${joinWords(allowed)} tasks can be ${verb}`,
    { task_id, status, allowed: [...allowed] },
  );
}

export function refuseLease(task_id: string, status: TaskStatus): DomainError {
  return new DomainError(
    'LEASE_LOST',
    `the lease of task ${task_id} is no longer yours (the task is ${status}); stop working on it`,
    { task_id, status },
  );
}

export function refuseUnknown(task_id: string): DomainError {
  return new DomainError('TASK_NOT_FOUND', `there is no task ${task_id}`, { task_id });
}

function joinWords(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

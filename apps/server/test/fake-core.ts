import type { Task } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';

/** A core of which only the parts under test are real; anything else that is asked of it fails the request. */
export function aCore(parts: Partial<Core> = {}): Core {
  const core: Partial<Core> = {
    ping: () => Promise.resolve(1),
    writeProblem: () => null,
    gauges: () => ({
      tasks: { blocked: 0, scheduled: 0, waiting: 0, working: 0, completed: 0, failed: 0, cancelled: 0 },
      waiting: { low: 0, medium: 0, high: 0 },
      acquire_waiters: 0,
    }),
    measureBacklog: () => Promise.resolve({ oldestSeconds: { low: 0, medium: 0, high: 0 }, pathsWithoutWorker: 0 }),
    keys: {
      count: () => Promise.resolve(0),
      insert: () => Promise.reject(new Error('not faked')),
      insertFirst: () => Promise.reject(new Error('not faked')),
      list: () => Promise.reject(new Error('not faked')),
      revoke: () => Promise.reject(new Error('not faked')),
      rotate: () => Promise.reject(new Error('not faked')),
      findValidHashes: () => Promise.resolve(new Set<string>()),
      findByHash: () => Promise.resolve(undefined),
    },
    durably: (result, prepare) => result.then(prepare),
    drain: () => undefined,
    close: () => Promise.resolve(),
    ...parts,
  };
  return { ...core, early: core } as Core;
}

export function aTask(parts: Partial<Task> = {}): Task {
  return {
    task_id: '01920000-0000-7000-8000-000000000000',
    work_directory: '/srv/repo',
    prompt: 'do it',
    priority: 'medium',
    tags: [],
    metadata: {},
    status: 'waiting',
    attempt: 0,
    max_attempts: 4,
    timeout_seconds: 3600,
    exclusive: false,
    depends_on: [],
    on_dependency_failure: 'cancel',
    idempotency_key: null,
    run_at: '2024-01-01T00:00:00.000Z',
    worker_id: null,
    lease_epoch: 0,
    lease_expires_at: null,
    cancel_requested: false,
    cancel_reason: null,
    progress: null,
    result: null,
    error: null,
    created_at: '2024-01-01T00:00:00.000Z',
    updated_at: '2024-01-01T00:00:00.000Z',
    started_at: null,
    finished_at: null,
    ...parts,
  };
}

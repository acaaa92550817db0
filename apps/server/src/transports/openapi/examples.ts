import type { AcquiredTask, ApiKey, Operation, Operations, Task, TaskReceipt } from '@task-orchestrator/contract';
import type { z } from 'zod';

type ExampleOf<Op> =
  Op extends Operation<infer Kind, infer Input, infer Output>
    ? { kind?: Kind; input: z.input<Input>; output: z.input<Output> }
    : never;
type Examples = {
  [Group in keyof Operations]: { [Name in keyof Operations[Group]]: ExampleOf<Operations[Group][Name]> };
};

const task_id = '01920000-0000-7000-8000-000000000000';
const work_directory = '/srv/repo';
const worker_id = 'worker-1';
const lease_token = 'lt_2bqCx8Tn1kPzYw';
const at = '2024-01-01T00:00:00.000Z';
const later = '2024-01-01T00:00:30.000Z';

const waiting: Task = {
  task_id,
  work_directory,
  prompt: 'Write the changelog of the next release',
  priority: 'high',
  tags: ['docs'],
  metadata: { issue: 42 },
  status: 'waiting',
  attempt: 0,
  max_attempts: 4,
  timeout_seconds: 3600,
  exclusive: false,
  depends_on: [],
  on_dependency_failure: 'cancel',
  idempotency_key: null,
  run_at: at,
  worker_id: null,
  lease_epoch: 0,
  lease_expires_at: null,
  cancel_requested: false,
  cancel_reason: null,
  progress: null,
  result: null,
  error: null,
  created_at: at,
  updated_at: at,
  started_at: null,
  finished_at: null,
};
const working: AcquiredTask = {
  ...waiting,
  status: 'working',
  attempt: 1,
  worker_id,
  lease_epoch: 1,
  lease_expires_at: later,
  started_at: at,
  lease_token,
};
const receipt: TaskReceipt = {
  task_id,
  status: 'waiting',
  attempt: 0,
  run_at: at,
  created_at: at,
  updated_at: at,
  finished_at: null,
};
const completed: TaskReceipt = { ...receipt, status: 'completed', attempt: 1, finished_at: later };
const event = {
  event_id: '1017',
  type: 'acquired',
  task_id,
  work_directory,
  status: 'working',
  attempt: 1,
  lease_epoch: 1,
  worker_id,
  data: null,
  at,
} as const;
const path = { path: work_directory, paused: false, max_concurrent: 2, weight: 1, waiting: 5, working: 2 };

const key: ApiKey = {
  key_id: '01920000-0000-7000-8000-00000000000a',
  name: 'build machines',
  roles: ['worker'],
  path_prefixes: ['/srv/repo'],
  created_at: at,
  expires_at: null,
  last_used_at: null,
  old_secret_expires_at: null,
};
const { key_id, name, roles, path_prefixes } = key;
const secret = 'tok_3pa9-QVru1aONxEIeSTBs4u3Tq3kjLWV3LdB_87JVfQ';

/** What a call of each operation looks like, for the document and the pages made from it. */
export const examples: Examples = {
  tasks: {
    create: {
      input: {
        work_directory,
        prompt: waiting.prompt,
        priority: 'high',
        tags: ['docs'],
        metadata: { issue: 42 },
      },
      output: waiting,
    },
    createMany: {
      input: {
        tasks: [
          { ref: 'build', work_directory, prompt: 'Build the site' },
          { work_directory, prompt: 'Publish the site', depends_on: ['build'] },
        ],
      },
      output: {
        tasks: [
          { ...receipt, ref: 'build' },
          { ...receipt, task_id: '01920000-0000-7000-8000-000000000001', status: 'blocked', ref: null },
        ],
      },
    },
    get: { input: { task_id }, output: waiting },
    list: { input: { status: 'waiting', limit: 10 }, output: { tasks: [waiting], total: 1, next_cursor: null } },
    next: { input: { work_path: work_directory, worker_id }, output: working },
    acquire: {
      input: { work_path: '/srv', subtree: true, worker_id, limit: 4, wait_seconds: 30 },
      output: { tasks: [working] },
    },
    heartbeat: {
      input: { task_id, lease_token, progress: { percent: 40, message: 'Reading the history' } },
      output: { lease_expires_at: later, cancel_requested: false, cancel_reason: null },
    },
    heartbeatMany: {
      input: { heartbeats: [{ task_id, lease_token }] },
      output: {
        results: [
          {
            index: 0,
            task_id,
            value: { lease_expires_at: later, cancel_requested: false, cancel_reason: null },
            error: null,
          },
        ],
      },
    },
    complete: {
      input: { task_id, lease_token, result: { status: 'success', output: 'Task completed', duration: 1500 } },
      output: completed,
    },
    completeMany: {
      input: { completions: [{ task_id, lease_token, result: { output: 'Task completed' } }] },
      output: { results: [{ index: 0, task_id, value: completed, error: null }] },
    },
    fail: {
      input: { task_id, lease_token, error: { code: 'TESTS_FAILED', message: '3 of 120 tests fail' } },
      output: { ...receipt, status: 'scheduled', attempt: 1, run_at: later },
    },
    release: { input: { task_id, lease_token, reason: 'The machine is going down' }, output: receipt },
    cancel: {
      input: { task_id, reason: 'No longer needed' },
      output: { ...waiting, status: 'cancelled', cancel_reason: 'No longer needed', finished_at: later },
    },
    retry: { input: { task_id }, output: waiting },
    cancelMany: { input: { filter: { tag: 'docs' }, dry_run: true }, output: { matched: 3, changed: 0 } },
    retryMany: { input: { filter: { status: 'failed' } }, output: { matched: 2, changed: 2 } },
    appendLog: {
      input: { task_id, lease_token, entries: [{ stream: 'stdout', text: 'npm test\n' }] },
      output: { appended: 1, truncated: false },
    },
    logs: {
      input: { task_id, limit: 100 },
      output: {
        entries: [{ seq: 1, at, attempt: 1, stream: 'stdout', text: 'npm test\n' }],
        truncated: false,
        next_cursor: null,
      },
    },
    events: { input: { task_id }, output: { events: [event], next_cursor: null } },
    wait: {
      input: { task_ids: [task_id], until: 'all', wait_seconds: 30 },
      output: {
        done: true,
        finished: [
          {
            task_id,
            status: 'completed',
            attempt: 1,
            result: { status: 'success', output: 'Task completed' },
            error: null,
            finished_at: later,
          },
        ],
        pending: [],
      },
    },
  },
  events: { stream: { input: { work_directory, subtree: true }, output: event } },
  workers: {
    list: {
      input: {},
      output: { workers: [{ worker_id, last_acquire_at: at, last_heartbeat_at: later, tasks_held: 1 }] },
    },
  },
  paths: {
    list: { input: {}, output: { paths: [path], next_cursor: null } },
    set: { input: { path: work_directory, max_concurrent: 2 }, output: path },
  },
  keys: {
    create: { input: { name, roles, path_prefixes }, output: { ...key, secret } },
    list: { input: {}, output: { keys: [{ ...key, last_used_at: later }], next_cursor: null } },
    revoke: { input: { key_id }, output: key },
    rotate: {
      input: { key_id, grace_seconds: 3600 },
      output: { ...key, old_secret_expires_at: '2024-01-01T01:00:00.000Z', secret },
    },
  },
  stats: {
    get: {
      input: {},
      output: {
        total_tasks: 120,
        tasks: { blocked: 1, scheduled: 2, waiting: 10, working: 4, completed: 100, failed: 2, cancelled: 1 },
        oldest_waiting_seconds: 12.5,
        workers: 3,
        uptime_seconds: 5400,
      },
    },
  },
  health: {
    get: {
      input: {},
      output: {
        status: 'healthy',
        timestamp: at,
        version: '1.0.0',
        uptime: '1h30m',
        components: { database: { healthy: true, response_time: 5.2, last_checked: at } },
        metrics: { memory_usage: '78MB', cpu_usage: 12.5, active_connections: 15, queue_size: 0 },
      },
    },
  },
};

/** The example of `tasks.create` and the like. */
export function exampleOf(name: string): { input: Record<string, unknown>; output: unknown } {
  const [group = '', member = ''] = name.split('.');
  const members: Record<string, Record<string, { input: object; output: unknown }>> = examples;
  const example = members[group]?.[member];
  if (!example) throw new Error(`no example of ${name}`);
  return { input: { ...example.input }, output: example.output };
}

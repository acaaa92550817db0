import { expect, test } from 'vitest';
import { createMetrics } from '../src/metrics.ts';
import { aCore } from './fake-core.ts';
import { startApp, type RunningApp } from './start-app.ts';

const NAMES = [
  'task_created_total',
  'task_completed_total',
  'task_failed_total',
  'response_time_seconds',
  'active_tasks',
  'task_processing_time_seconds',
  'task_acquired_total',
  'task_retried_total',
  'task_cancelled_total',
  'lease_lost_total',
  'task_wait_seconds',
  'tasks',
  'acquire_waiters',
  'commit_batch_size',
  'commit_seconds',
  'event_loop_lag_seconds',
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
];

async function readMetrics({ ask }: RunningApp): Promise<Map<string, number>> {
  const { text } = await ask('GET', '/metrics');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

test('every metric of the specification is there, in the format of Prometheus', async () => {
  const { ask } = await startApp();
  const answer = await ask('GET', '/metrics');
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  for (const name of NAMES) expect(answer.text).toMatch(new RegExp(`^# TYPE ${name} `, 'm'));
});

test('the life of tasks is counted', async () => {
  const service = await startApp();
  const { ask } = service;
  const create = (prompt: string) =>
    ask('POST', '/api/v1/tasks', { body: { work_directory: '/a', prompt, max_attempts: 1 } });
  const acquire = () => ask('POST', '/api/v1/tasks/acquire', { body: { work_path: '/a', worker_id: 'w' } });
  for (const prompt of ['one', 'two', 'three', 'four']) await create(prompt);
  const [done] = (await acquire()).json.data.tasks;
  await ask('POST', `/api/v1/tasks/${done.task_id}/complete`, { body: { lease_token: done.lease_token } });
  const [failed] = (await acquire()).json.data.tasks;
  await ask('POST', `/api/v1/tasks/${failed.task_id}/fail`, {
    body: { lease_token: failed.lease_token, error: { message: 'no' } },
  });
  const [held] = (await acquire()).json.data.tasks;
  const waiting = (await ask('GET', '/api/v1/tasks?status=waiting')).json.data.tasks[0];
  await ask('POST', `/api/v1/tasks/${waiting.task_id}/cancel`);
  await ask('POST', `/api/v1/tasks/${failed.task_id}/retry`);
  expect(held.status).toBe('working');

  const metrics = await readMetrics(service);
  const shown = (name: string) => metrics.get(name);
  expect({
    created: shown('task_created_total'),
    acquired: shown('task_acquired_total'),
    completed: shown('task_completed_total'),
    failed: shown('task_failed_total'),
    cancelled: shown('task_cancelled_total'),
    retried: shown('task_retried_total'),
    active: shown('active_tasks'),
    working: shown('tasks{status="working"}'),
    done: shown('tasks{status="completed"}'),
    waiting: shown('tasks_waiting{priority="medium"}'),
    waited: shown('task_wait_seconds_count'),
    worked: shown('task_processing_time_seconds_count'),
  }).toEqual({
    created: 4,
    acquired: 3,
    completed: 1,
    failed: 1,
    cancelled: 1,
    retried: 1,
    active: 1,
    working: 1,
    done: 1,
    waiting: 1,
    waited: 3,
    worked: 2,
  });
  expect(shown('commit_seconds_count')).toBeGreaterThan(0);
});

test('a database that does not answer costs the metrics that are read from it, and no others', async () => {
  const core = aCore({ measureBacklog: () => Promise.reject(new Error('no database')) });
  const metrics = await readMetrics(await startApp({ core }));
  expect(
    [...metrics.keys()].filter((name) => /^(paths_without_worker|task_oldest_waiting_seconds)/.test(name)),
  ).toEqual([]);
  expect(metrics.get('acquire_waiters')).toBe(0);
});

test('response times are told apart by operation and status class, whichever door was used', async () => {
  const service = await startApp();
  await service.ask('GET', '/api/v1/statistics');
  await service.ask('GET', '/trpc/stats.get');
  await service.ask('GET', '/api/v1/tasks/nonsense');
  const metrics = await readMetrics(service);
  expect(metrics.get('response_time_seconds_count{method="GET",route="stats.get",status="2xx"}')).toBe(2);
  expect(metrics.get('response_time_seconds_count{method="GET",route="tasks.get",status="4xx"}')).toBe(1);
});

test('response times are a histogram whose buckets add up', async () => {
  const metrics = createMetrics();
  const times = metrics.responseTimes('GET', 'tasks.get');
  for (const seconds of [0.0005, 0.001, 0.02, 99]) times.observe(200, seconds);
  const text = await metrics.render();
  metrics.stop();
  const lines = text.split('\n').filter((line) => line.startsWith('response_time_seconds'));
  const labels = 'method="GET",route="tasks.get",status="2xx"';
  expect(lines).toHaveLength(16);
  expect(lines).toContain(`response_time_seconds_bucket{${labels},le="0.001"} 2`);
  expect(lines).toContain(`response_time_seconds_bucket{${labels},le="0.025"} 3`);
  expect(lines).toContain(`response_time_seconds_bucket{${labels},le="10"} 3`);
  expect(lines).toContain(`response_time_seconds_bucket{${labels},le="+Inf"} 4`);
  expect(lines).toContain(`response_time_seconds_count{${labels}} 4`);
});

test('labels hold no ids, paths or prompts', async () => {
  const service = await startApp();
  await service.ask('POST', '/api/v1/tasks', { body: { work_directory: '/srv/private', prompt: 'secret plan' } });
  await service.ask('GET', '/api/v1/tasks/01920000-0000-7000-8000-000000000000');
  await service.ask('GET', '/no/such/route');
  const { text } = await service.ask('GET', '/metrics');
  expect(text).not.toMatch(/private|secret|01920000|such/);
});

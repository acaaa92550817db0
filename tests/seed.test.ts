import type { AcquiredTask, Task } from '@task-orchestrator/client';
import { expect, test } from 'vitest';
import { ServerProcess } from './support/server-process.ts';

// The two integration tests of the seed, over REST and with its bodies.

test('of ten workers that ask for one task at once, one gets it', async () => {
  const server = await ServerProcess.start();
  const created = await server.request<Task>('POST', '/api/v1/tasks', { work_directory: '/test', prompt: 'Test task' });
  const workers = Array.from({ length: 10 }, (_, index) => `worker-${index}`);
  const answers = await Promise.all(
    workers.map((worker) =>
      server.request<AcquiredTask | null>('GET', `/api/v1/tasks/next?work_path=/test&worker_id=${worker}`),
    ),
  );
  expect(answers.map(({ status, body }) => [status, body.success])).toEqual(workers.map(() => [200, true]));
  const winners = answers.flatMap(({ body }) => body.data ?? []);
  expect(winners.map(({ task_id }) => task_id)).toEqual([created.body.data.task_id]);
  const { body } = await server.request<Task>('GET', `/api/v1/tasks/${created.body.data.task_id}`);
  expect(body.data).toMatchObject({ status: 'working', attempt: 1, lease_epoch: 1, worker_id: winners[0]?.worker_id });
});

test('a task goes its whole way: created, acquired, completed', async () => {
  const server = await ServerProcess.start();
  const created = await server.request<Task>('POST', '/api/v1/tasks', {
    work_directory: '/test',
    prompt: 'Test task',
    priority: 'medium',
  });
  expect(created.status).toBe(200);
  const { task_id } = created.body.data;

  const acquired = await server.request<AcquiredTask>(
    'GET',
    '/api/v1/tasks/next?work_path=/test&worker_id=test-worker',
  );
  expect(acquired.status).toBe(200);
  expect(acquired.body.data.task_id).toBe(task_id);

  const completed = await server.request('POST', `/api/v1/tasks/${task_id}/complete`, {
    result: { status: 'success' },
  });
  expect(completed.status).toBe(200);

  const got = await server.request<Task>('GET', `/api/v1/tasks/${task_id}`);
  expect(got.status).toBe(200);
  expect(got.body).toMatchObject({
    success: true,
    error: null,
    data: { status: 'completed', result: { status: 'success' }, worker_id: 'test-worker' },
  });
});

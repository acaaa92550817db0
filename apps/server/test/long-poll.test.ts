import type { AcquireOutput } from '@task-orchestrator/contract';
import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { aCore, aTask } from './fake-core.ts';
import { startApp } from './start-app.ts';

/** A core whose `acquire` ends only when its caller goes away. */
function aWaitingCore() {
  const started = Promise.withResolvers<AbortSignal | undefined>();
  const aborted = Promise.withResolvers<void>();
  const core = aCore({
    acquireTasks: (_input, signal) =>
      new Promise<AcquireOutput>((resolve) => {
        signal?.addEventListener('abort', () => {
          aborted.resolve();
          resolve({ tasks: [] });
        });
        started.resolve(signal);
      }),
  });
  return { core, started: started.promise, aborted: aborted.promise };
}

const body = { work_path: '/a', worker_id: 'w', wait_seconds: 60 };

test('a caller that goes away ends its long poll', async () => {
  const { core, started, aborted } = aWaitingCore();
  const { ask } = await startApp({ core });
  const leaving = new AbortController();
  const answer = ask('POST', '/api/v1/tasks/acquire', { body, signal: leaving.signal });
  await started;
  leaving.abort();
  await expect(answer).rejects.toThrow('aborted');
  await aborted;
});

test('a call that does not wait is given no signal', async () => {
  const core = aCore({ acquireTasks: async (_input, signal) => ({ tasks: [], reason: signal ? 'paused' : 'empty' }) });
  const { ask } = await startApp({ core });
  const answer = await ask('POST', '/api/v1/tasks/acquire', { body: { ...body, wait_seconds: 0 } });
  expect(answer.json.data.reason).toBe('empty');
});

test('a long poll is answered by the task that comes', async () => {
  const { ask } = await startApp();
  const acquired = ask('POST', '/api/v1/tasks/acquire', { body });
  const created = await ask('POST', '/api/v1/tasks', { body: { work_directory: '/a', prompt: 'x' } });
  expect((await acquired).json.data.tasks).toMatchObject([{ task_id: created.json.data.task_id }]);
});

test('closing the service answers long polls, empty, and does not wait for connections that are kept open', async () => {
  const { url, app, core, ask } = await startApp();
  const silent = connect(Number(new URL(url).port), '127.0.0.1');
  await once(silent, 'connect');
  await ask('GET', '/health/live');
  const acquired = ask('POST', '/api/v1/tasks/acquire', { body });
  await expect.poll(() => core.gauges().acquire_waiters).toBe(1);
  const startedAt = performance.now();
  await app.close();
  expect((await acquired).json.data.tasks).toEqual([]);
  expect(performance.now() - startedAt).toBeLessThan(2000);
});

test('closing the service lets requests under way end', async () => {
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const core = aCore({
    getTask: async () => {
      asked.resolve();
      await gate.promise;
      return aTask();
    },
  });
  const { app, ask } = await startApp({ core });
  const answer = ask('GET', '/api/v1/tasks/01920000-0000-7000-8000-000000000000');
  await asked.promise;
  const closed = app.close();
  gate.resolve();
  expect((await answer).status).toBe(200);
  await closed;
});

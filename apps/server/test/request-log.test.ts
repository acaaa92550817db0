import { expect, test } from 'vitest';
import { aCore, aTask } from './fake-core.ts';
import { startApp } from './start-app.ts';

const ID = '01920000-0000-7000-8000-000000000000';
const lines = (log: readonly string[]) => log.map((line) => JSON.parse(line) as Record<string, unknown>);

test('a refused request is one line: what, why and which request, but no prompt and no query', async () => {
  const { ask, log } = await startApp();
  const answer = await ask('POST', '/api/v1/tasks', { body: { work_directory: 'rel', prompt: 'a secret prompt' } });
  await ask('GET', '/api/v1/tasks?tag=private&limit=x');
  expect(lines(log)).toMatchObject([
    {
      level: 'info',
      msg: 'request refused',
      request_id: answer.headers.get('x-request-id'),
      method: 'POST',
      path: '/api/v1/tasks',
      operation: 'tasks.create',
      status: 400,
      code: 'VALIDATION_ERROR',
      field: 'work_directory',
      ms: expect.any(Number),
    },
    { path: '/api/v1/tasks', operation: 'tasks.list', field: 'limit' },
  ]);
  expect(log.join('')).not.toMatch(/secret|private/);
});

test('a slow request is a warning, unless it asked to wait', async () => {
  const slowly = <Value>(value: Value) => new Promise<Value>((resolve) => setTimeout(resolve, 1050, value));
  const core = aCore({ getTask: () => slowly(aTask()), acquireTasks: () => slowly({ tasks: [] }) });
  const { ask, log } = await startApp({ core });
  await Promise.all([
    ask('GET', `/api/v1/tasks/${ID}`),
    ask('POST', '/api/v1/tasks/acquire', { body: { work_path: '/a', worker_id: 'w', wait_seconds: 2 } }),
  ]);
  expect(lines(log)).toMatchObject([{ level: 'warn', msg: 'slow request', operation: 'tasks.get' }]);
});

test('successes are silent, and sampled at debug level', async () => {
  const core = aCore({ getTask: () => Promise.resolve(aTask()) });
  const quiet = await startApp({ core });
  const chatty = await startApp({ core, logLevel: 'debug' });
  for (let i = 0; i < 150; i++) {
    await quiet.ask('GET', `/api/v1/tasks/${ID}`);
    await chatty.ask('GET', `/api/v1/tasks/${ID}`);
  }
  expect(quiet.log).toEqual([]);
  expect(chatty.log).toHaveLength(2);
});

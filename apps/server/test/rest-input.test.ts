import type { Core } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { aCore, aTask } from './fake-core.ts';
import { startApp } from './start-app.ts';

const ID = '01920000-0000-7000-8000-000000000000';

/** A core that keeps what it was asked. */
function aRecordingCore() {
  const inputs: unknown[] = [];
  const keep = (input: unknown) => void inputs.push(input);
  const core: Core = aCore({
    listTasks: async (input) => (keep(input), { tasks: [], total: 0, next_cursor: null }),
    getTask: async (input) => (keep(input), aTask()),
    createTask: async (input) => (keep(input), aTask()),
    cancelTask: async (input) => (keep(input), aTask()),
    acquireNextTask: async (input) => (keep(input), null),
    completeTask: async (input) => (keep(input), aTask()),
  });
  return { core, inputs };
}

test('a query string is read by the types of the schema', async () => {
  const { core, inputs } = aRecordingCore();
  const { ask } = await startApp({ core });
  await ask(
    'GET',
    '/api/v1/tasks?status=waiting,failed&status=working&limit=10&offset=0&subtree=true&tag=a,b&work_directory=%2Fsrv%2Fa%20b%2F',
  );
  await ask('GET', '/api/v1/tasks?status=waiting&subtree=false&tag=1');
  expect(inputs).toEqual([
    {
      status: ['waiting', 'failed', 'working'],
      limit: 10,
      offset: 0,
      subtree: true,
      tag: 'a,b',
      work_directory: '/srv/a b',
    },
    { status: 'waiting', limit: 50, offset: 0, subtree: false, tag: '1' },
  ]);
});

test.for([
  ['limit=ten', 'limit', 'must be a number'],
  ['limit=', 'limit', 'must be a number'],
  ['limit=1e2', 'limit', 'must be a number'],
  ['limit=0x10', 'limit', 'must be a number'],
  ['limit=1.5', 'limit', 'must be a whole number'],
  ['limit=501', 'limit', 'must be at most 500'],
  ['limit=1&limit=2', 'limit', 'must be a number'],
  ['subtree=yes', 'subtree', 'must be true or false'],
  ['subtree=1', 'subtree', 'must be true or false'],
  ['priority=urgent', 'priority', 'must be one of low, medium, high'],
  ['tag=a&tag=b', 'tag', 'must be a string'],
  ['status=open', 'status', /^must be one of blocked, .* or a list$/],
  ['status=waiting,open', 'status.1', /^must be one of blocked/],
  ['__proto__=1', '__proto__', 'is not a known field'],
  ['constructor=1', 'constructor', 'is not a known field'],
  ['work_path=/a', 'work_path', 'is not a known field'],
] as const)('?%s is refused', async ([query, field, message]) => {
  const { ask } = await startApp({ core: aRecordingCore().core });
  const answer = await ask('GET', `/api/v1/tasks?${query}`);
  expect(answer.status).toBe(400);
  expect(answer.json.error.details.field).toBe(field);
  expect(answer.json.error.details.message).toMatch(message);
});

test('a JSON body is not coerced: "false" is no boolean and "1" no number', async () => {
  const { ask } = await startApp({ core: aRecordingCore().core });
  const answer = await ask('POST', '/api/v1/tasks', {
    body: { work_directory: '/a', prompt: 'x', exclusive: 'false', max_attempts: '1' },
  });
  expect(answer.json.error.details.errors).toEqual([
    { field: 'max_attempts', message: 'must be a number' },
    { field: 'exclusive', message: 'must be true or false' },
  ]);
});

test('a path parameter arrives decoded', async () => {
  const { core, inputs } = aRecordingCore();
  const { ask } = await startApp({ core });
  expect((await ask('GET', `/api/v1/tasks/${ID.replaceAll('-', '%2D')}`)).status).toBe(200);
  expect(inputs).toEqual([{ task_id: ID }]);
});

test('/tasks/next is never taken for a task id', async () => {
  const { core, inputs } = aRecordingCore();
  const { ask } = await startApp({ core });
  const answer = await ask('GET', '/api/v1/tasks/next?work_path=/a&worker_id=w');
  expect(answer.json).toMatchObject({ success: true, data: null, error: null });
  expect(answer.headers.get('cache-control')).toBe('no-store');
  expect(inputs).toMatchObject([{ work_path: '/a', worker_id: 'w' }]);
});

test.for([
  [{}],
  [{ 'content-type': 'application/json' }],
  [{ 'content-type': 'application/json; charset=utf-8' }],
  [{ 'content-type': 'application/x-www-form-urlencoded' }],
] as const)('a body whose fields are all optional may be missing, with headers %j', async ([headers]) => {
  const { core, inputs } = aRecordingCore();
  const { ask } = await startApp({ core });
  expect((await ask('POST', `/api/v1/tasks/${ID}/cancel`, { headers })).status).toBe(200);
  expect(inputs).toEqual([{ task_id: ID, force: false }]);
});

test('the Idempotency-Key header is the field of the same name', async () => {
  const { core, inputs } = aRecordingCore();
  const { ask } = await startApp({ core });
  const body = { work_directory: '/a', prompt: 'x' };
  await ask('POST', '/api/v1/tasks', { body, headers: { 'idempotency-key': 'key-1' } });
  expect(inputs).toMatchObject([{ idempotency_key: 'key-1' }]);
});

test('keys that an object inherits are data like any other in metadata', async () => {
  const { core, inputs } = aRecordingCore();
  const { ask } = await startApp({ core });
  const metadata = { constructor: { prototype: 1 }, toString: 'x', hasOwnProperty: null };
  expect((await ask('POST', '/api/v1/tasks', { body: { work_directory: '/a', prompt: 'x', metadata } })).status).toBe(
    200,
  );
  expect(inputs).toMatchObject([{ metadata }]);
});

test('create answers 200 with the task in the envelope', async () => {
  const { ask } = await startApp();
  const answer = await ask('POST', '/api/v1/tasks', { body: { work_directory: '/a/', prompt: 'do it' } });
  expect(answer.status).toBe(200);
  expect(answer.json).toEqual({
    success: true,
    data: expect.objectContaining({ work_directory: '/a', prompt: 'do it', status: 'waiting', priority: 'medium' }),
    error: null,
    timestamp: expect.any(String),
  });
});

test('a read may be asked for by HEAD', async () => {
  const { ask } = await startApp();
  const answer = await ask('HEAD', '/api/v1/tasks');
  expect(answer.status).toBe(200);
  expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(50);
});

import { DomainError } from '@task-orchestrator/core';
import { describe, expect, test } from 'vitest';
import { aCore, aTask } from './fake-core.ts';
import { sendRaw } from './send-raw.ts';
import { startApp, type Answer } from './start-app.ts';

const ID = '01920000-0000-7000-8000-000000000000';
const core = () => aCore({ createTask: () => Promise.resolve(aTask()), getTask: () => Promise.resolve(aTask()) });

/** Every refusal wears this, whoever gives it. */
function expectRefusal(answer: Answer, status: number, code: string): void {
  expect(answer.json).toEqual({
    success: false,
    data: null,
    error: { code, message: expect.any(String), details: answer.json.error.details },
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  });
  expect(answer.status).toBe(status);
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(answer.headers.get('x-request-id')).toMatch(/^[\w.:-]+$/);
  expect(answer.headers.get('cache-control')).toBe('no-store');
}

describe('a request that is no valid input gets 400 in the envelope', () => {
  test.for([
    ['broken JSON', '{"work_directory": "/a"'],
    ['text', 'hello'],
    ['a list', '[]'],
    ['a string', '"x"'],
    ['null', 'null'],
    ['a lone number', '7'],
    ['JSON with a key __proto__', '{"work_directory":"/a","prompt":"x","metadata":{"__proto__":{"admin":true}}}'],
    [
      'JSON with an escaped key __proto__',
      String.raw`{"work_directory":"/a","prompt":"x","metadata":{"\u005f_proto__":1}}`,
    ],
    [
      'JSON nested 200,000 levels deep',
      `{"work_directory":"/a","prompt":"x","metadata":{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`,
    ],
  ])('%s', async ([, body]) => {
    const { ask } = await startApp({ core: core() });
    const answer = await ask('POST', '/api/v1/tasks', { body, headers: { 'content-type': 'application/json' } });
    expectRefusal(answer, 400, 'VALIDATION_ERROR');
    expect(answer.json.error).toMatchObject({ message: 'Invalid input data', details: { field: expect.any(String) } });
  });

  test('JSON that is no UTF-8', async () => {
    const { url, ask } = await startApp({ core: core() });
    const body = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]);
    const response = await fetch(`${url}/api/v1/tasks`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json', 'x-api-key': 'test-key-of-16-characters-or-more' },
    });
    expect(await response.json()).toMatchObject({ error: { details: { field: 'body', message: 'must be UTF-8' } } });
    expectRefusal(
      await ask('POST', '/api/v1/tasks', { body: '', headers: { 'content-type': 'application/json' } }),
      400,
      'VALIDATION_ERROR',
    );
  });

  test('malformed percent-encoding in the path', async () => {
    const { ask } = await startApp({ core: core() });
    expectRefusal(await ask('GET', '/api/v1/tasks/%zz'), 400, 'VALIDATION_ERROR');
    expectRefusal(await ask('GET', '/api/v1/tasks/%c3%28'), 400, 'VALIDATION_ERROR');
  });

  test('a body that names another task than the path', async () => {
    const { ask } = await startApp({ core: aCore({ cancelTask: () => Promise.resolve(aTask()) }) });
    const answer = await ask('POST', `/api/v1/tasks/${ID}/cancel`, { body: { task_id: ID.replace('1', '2') } });
    expectRefusal(answer, 400, 'VALIDATION_ERROR');
    expect(answer.json.error.details).toMatchObject({ field: 'task_id', message: 'differs from the path' });
    expect((await ask('POST', `/api/v1/tasks/${ID}/cancel`, { body: { task_id: ID } })).status).toBe(200);
  });

  test('an idempotency key that the header and the body give differently', async () => {
    const { ask } = await startApp({ core: core() });
    const body = { work_directory: '/a', prompt: 'x', idempotency_key: 'one' };
    const answer = await ask('POST', '/api/v1/tasks', { body, headers: { 'idempotency-key': 'two' } });
    expect(answer.json.error.details).toMatchObject({ field: 'idempotency_key' });
  });

  test('a field in the URL that belongs in the body is not overlooked', async () => {
    const { ask } = await startApp({ core: core() });
    const answer = await ask('POST', `/api/v1/tasks/${ID}/cancel?force=true`);
    expect(answer.json.error.details).toMatchObject({
      field: 'force',
      message: 'belongs in the JSON body, not in the URL',
    });
  });
});

test('a refusal of the input names the first field, and all of them in `errors`', async () => {
  const { ask } = await startApp({ core: core() });
  const answer = await ask('POST', '/api/v1/tasks', {
    body: {
      work_directory: 'rel/../x',
      priority: 'urgent',
      tags: 'x',
      max_attempts: 0,
      exclusive: 'yes',
      surprise: 1,
      toString: 2,
    },
  });
  expect(answer.json.error).toEqual({
    code: 'VALIDATION_ERROR',
    message: 'Invalid input data',
    details: {
      field: 'work_directory',
      message: 'Work directory must be an absolute path',
      errors: [
        { field: 'work_directory', message: 'Work directory must be an absolute path' },
        { field: 'prompt', message: 'is required' },
        { field: 'priority', message: 'must be one of low, medium, high' },
        { field: 'tags', message: 'must be a list' },
        { field: 'max_attempts', message: 'must be at least 1' },
        { field: 'exclusive', message: 'must be true or false' },
        { field: 'surprise', message: 'is not a known field' },
        { field: 'toString', message: 'is not a known field' },
      ],
    },
  });
});

test('a field inside a list is named with its place', async () => {
  const { ask } = await startApp({ core: core() });
  const tasks = [
    { work_directory: '/a', prompt: 'x' },
    { work_directory: '/a', prompt: '', metadata: [] },
  ];
  const answer = await ask('POST', '/api/v1/tasks/batch', { body: { tasks } });
  expect(answer.json.error.details.errors).toEqual([
    { field: 'tasks.1.prompt', message: 'must not be empty' },
    { field: 'tasks.1.metadata', message: 'must be an object' },
  ]);
});

describe('what HTTP itself refuses wears the envelope too', () => {
  test('an unknown route is 404, whatever its body', async () => {
    const { ask } = await startApp({ core: core() });
    expectRefusal(await ask('GET', '/nope'), 404, 'NOT_FOUND');
    expectRefusal(
      await ask('POST', '/api/v2/tasks', { body: '{', headers: { 'content-type': 'text/plain' } }),
      404,
      'NOT_FOUND',
    );
  });

  test.for([
    ['DELETE', '/api/v1/tasks', 'GET, HEAD, POST'],
    ['PATCH', `/api/v1/tasks/${ID}`, 'GET, HEAD'],
    ['POST', '/api/v1/tasks/next', 'GET'],
    ['HEAD', '/api/v1/tasks/next', 'GET'],
    ['GET', '/api/v1/tasks/batch', 'POST'],
    ['GET', `/api/v1/tasks/${ID}/cancel`, 'POST'],
    ['OPTIONS', '/api/v1/paths', 'GET, HEAD, PUT'],
    ['POST', '/health', 'GET, HEAD'],
    ['PUT', '/trpc/tasks.get', 'GET, POST'],
  ] as const)('%s %s is 405 with what is allowed', async ([method, path, allow]) => {
    const { ask } = await startApp({ core: core() });
    const answer = await ask(method, path, { isAnonymous: true });
    if (method !== 'HEAD') expectRefusal(answer, 405, 'METHOD_NOT_ALLOWED');
    expect(answer.status).toBe(405);
    expect(answer.headers.get('allow')).toBe(allow);
  });

  test('a body that is not JSON by its content type is 415', async () => {
    const { ask } = await startApp({ core: core() });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml', 'nonsense']) {
      const answer = await ask('POST', '/api/v1/tasks', { body: '{}', headers: { 'content-type': type } });
      expectRefusal(answer, 415, 'UNSUPPORTED_MEDIA_TYPE');
    }
  });

  test('a body above the limit is 413', async () => {
    const { ask } = await startApp({ core: core(), config: { server: { body_limit: 1000 } } });
    const body = { work_directory: '/a', prompt: 'x'.repeat(1000) };
    expectRefusal(await ask('POST', '/api/v1/tasks', { body }), 413, 'PAYLOAD_TOO_LARGE');
  });

  test('a path parameter without end is 414', async () => {
    const { ask } = await startApp({ core: core() });
    expectRefusal(await ask('GET', `/api/v1/tasks/${'a'.repeat(6000)}`), 414, 'URI_TOO_LONG');
  });

  test('a URL that does not fit into a request head is 414, too many headers are 431', async () => {
    const { url } = await startApp({ core: core() });
    const long = await sendRaw(url, `GET /health?${'a'.repeat(70_000)} HTTP/1.1\r\nhost: a\r\n\r\n`);
    expect(long.head).toMatch(/^HTTP\/1.1 414 /);
    expect(JSON.parse(long.body)).toMatchObject({ success: false, error: { code: 'URI_TOO_LONG' } });
    const many = await sendRaw(url, `GET /health HTTP/1.1\r\nhost: a\r\nx-long: ${'a'.repeat(70_000)}\r\n\r\n`);
    expect(many.head).toMatch(/^HTTP\/1.1 431 /);
    expect(JSON.parse(many.body)).toMatchObject({ success: false, data: null });
  });

  test('what is no HTTP is 400', async () => {
    const { url } = await startApp({ core: core() });
    const { head, body } = await sendRaw(url, 'hello there\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1.1 400 /);
    expect(head).toMatch(/x-request-id: /);
    expect(JSON.parse(body)).toMatchObject({ success: false, error: { code: 'VALIDATION_ERROR' } });
  });
});

describe('a fault of the service', () => {
  test('answers 500 with the request id and nothing of the inside; the log has the rest', async () => {
    const failing = aCore({ getTask: () => Promise.reject(new Error('SELECT secret FROM keys')) });
    const { ask, log } = await startApp({ core: failing });
    const answer = await ask('GET', `/api/v1/tasks/${ID}`, { headers: { 'x-request-id': 'mine-1' } });
    expectRefusal(answer, 500, 'INTERNAL_ERROR');
    expect(answer.json.error).toEqual({
      code: 'INTERNAL_ERROR',
      message: 'Internal error',
      details: { request_id: 'mine-1' },
    });
    expect(answer.text).not.toContain('SELECT');
    const lines = log.map((line) => JSON.parse(line)).filter(({ request_id }) => request_id === 'mine-1');
    expect(lines).toMatchObject([
      { level: 'error', status: 500, operation: 'tasks.get', err: { message: 'SELECT secret FROM keys' } },
    ]);
  });

  test('answers 503 with Retry-After while the database is away', async () => {
    const away = aCore({
      getTask: () => Promise.reject(new DomainError('UNAVAILABLE', 'The database does not answer')),
    });
    const { ask } = await startApp({ core: away });
    const answer = await ask('GET', `/api/v1/tasks/${ID}`);
    expectRefusal(answer, 503, 'UNAVAILABLE');
    expect(answer.headers.get('retry-after')).toBe('1');
  });
});

describe('a request id', () => {
  test('of the caller is taken over when it is sane', async () => {
    const { ask } = await startApp({ core: core() });
    expect(
      (await ask('GET', '/health', { headers: { 'x-request-id': 'abc-1.2:3' } })).headers.get('x-request-id'),
    ).toBe('abc-1.2:3');
    for (const id of ['a b', 'x'.repeat(200), '<script>']) {
      expect((await ask('GET', '/health', { headers: { 'x-request-id': id } })).headers.get('x-request-id')).not.toBe(
        id,
      );
    }
  });

  test('is on every answer, and each its own', async () => {
    const { ask } = await startApp({ core: core() });
    const paths = [
      '/health',
      '/metrics',
      '/docs',
      '/openapi.json',
      '/nope',
      '/api/v1/tasks/%zz',
      '/trpc/nope',
      '/health/live',
    ];
    const ids = await Promise.all(paths.map(async (path) => (await ask('GET', path)).headers.get('x-request-id')));
    expect(new Set(ids).size).toBe(paths.length);
    expect(ids).not.toContain(null);
  });
});

import { afterEach, describe, expect, test, vi } from 'vitest';
import { Refusal, sendJson, startFakeServer, type FakeServer, type Procedures } from '../test/fake-server.ts';
import { endOfTurn } from './end-of-turn.ts';
import {
  ConnectionError,
  createClient,
  LeaseLostError,
  OrchestratorError,
  PayloadTooLargeError,
  RateLimitedError,
  UnauthorizedError,
  UnavailableError,
  ValidationError,
} from './index.ts';
import type { ClientOptions } from './index.ts';

const servers: FakeServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(procedures: Procedures, options: Partial<ClientOptions> = {}) {
  const server = await startFakeServer(procedures);
  servers.push(server);
  const client = createClient({
    url: server.url,
    retry: { minDelaySeconds: 0.001, maxDelaySeconds: 0.005 },
    ...options,
  });
  return { server, client };
}

const drop = (request: { socket: { destroy(): void } }) => request.socket.destroy();

describe('calls', () => {
  test('a call sends its input and the key, and resolves with the output', async () => {
    const { client } = await start(
      {
        'tasks.get': (input, { headers, method }) => ({
          input,
          key: headers.authorization,
          x: headers['x-team'],
          method,
        }),
      },
      { apiKey: 'secret-key', headers: { 'x-team': 'blue' } },
    );
    const answer: unknown = await client.tasks.get({ task_id: 'a' });
    expect(answer).toEqual({ input: { task_id: 'a' }, key: 'Bearer secret-key', x: 'blue', method: 'GET' });
  });

  test('calls made at once share requests; the first one does not wait for company', async () => {
    const { server, client } = await start({
      'tasks.get': (input: { task_id: string }) => ({ task_id: input.task_id }),
    });
    const answers = await Promise.all(['a', 'b', 'c'].map((task_id) => client.tasks.get({ task_id })));
    expect(answers.map(({ task_id }) => task_id)).toEqual(['a', 'b', 'c']);
    expect(server.requests).toEqual(['tasks.get', 'tasks.get,tasks.get']);
  });

  test('a request takes half of the calls, so that client and server work at the same time', async () => {
    const { server, client } = await start({ 'tasks.get': (input: { task_id: string }) => input });
    const ids = Array.from({ length: 64 }, (_, index) => `task ${index}`);
    const answers = await Promise.all(ids.map((task_id) => client.tasks.get({ task_id })));
    expect(answers.map(({ task_id }) => task_id)).toEqual(ids);
    expect(server.requests.map((paths) => paths.split(',').length)).toEqual([1, 32, 31]);
  });

  test('while four shared requests are under way, further calls wait for each other', async () => {
    const held: Array<() => void> = [];
    const { server, client } = await start({
      'tasks.get': () => new Promise<object>((resolve) => held.push(() => resolve({}))),
    });
    const calls: Promise<unknown>[] = [];
    for (let count = 1; count <= 5; count++) {
      calls.push(client.tasks.get({ task_id: 'a' }));
      await vi.waitFor(() => expect(held).toHaveLength(count));
    }
    calls.push(client.tasks.get({ task_id: 'b' }), client.tasks.get({ task_id: 'c' }));
    await endOfTurn();
    expect(server.requests).toHaveLength(5);
    // The second of them: the first call had a request of its own.
    held[1]!();
    await vi.waitFor(() => expect(held).toHaveLength(7));
    expect(server.requests.at(-1)).toBe('tasks.get,tasks.get');
    for (const release of held) release();
    await Promise.all(calls);
  });

  test('queries that do not fit into one URL go into several', async () => {
    const { server, client } = await start({ 'tasks.get': (input: { task_id: string }) => input });
    const ids = Array.from({ length: 9 }, (_, index) => `${index}${'ü'.repeat(200)}`);
    const answers = await Promise.all(ids.map((task_id) => client.tasks.get({ task_id })));
    expect(answers.map(({ task_id }) => task_id)).toEqual(ids);
    expect(server.requests.map((paths) => paths.split(',').length)).toEqual([1, 3, 3, 2]);
  });

  test('a request ends when none of its callers wants an answer any more', async () => {
    const closed: string[] = [];
    const { server, client } = await start({
      'tasks.get': ({ task_id }: { task_id: string }, request) =>
        new Promise(() => request.socket.once('close', () => closed.push(task_id))),
    });
    const first = new AbortController();
    const others = new AbortController();
    const calls = ['a', 'b', 'c'].map((task_id) =>
      client.tasks.get({ task_id }, { signal: (task_id === 'b' ? first : others).signal }),
    );
    const ended = Promise.allSettled(calls);
    await vi.waitFor(() => expect(server.requests).toEqual(['tasks.get', 'tasks.get,tasks.get']));
    first.abort();
    await expect(calls[1]).rejects.toBe(first.signal.reason);
    expect(closed).toEqual([]);
    others.abort();
    await vi.waitFor(() => expect(closed.toSorted()).toEqual(['a', 'b', 'c']));
    await ended;
  });

  test('a long poll travels alone', async () => {
    const { server, client } = await start({ 'tasks.acquire': () => ({ tasks: [] }), 'tasks.get': () => ({}) });
    await Promise.all([
      client.tasks.get({ task_id: 'a' }),
      client.tasks.acquire({ worker_id: 'w', wait_seconds: 5 }),
      client.tasks.get({ task_id: 'b' }),
    ]);
    expect(server.requests.toSorted()).toEqual(['tasks.acquire', 'tasks.get', 'tasks.get']);
  });

  test('one bad call of a batch does not harm its neighbours', async () => {
    const { client } = await start({
      'tasks.get': ({ task_id }: { task_id: string }) => {
        if (task_id === 'bad') throw new Refusal('TASK_NOT_FOUND', 404);
        return { task_id };
      },
    });
    const answers = await Promise.allSettled(['a', 'bad', 'c'].map((task_id) => client.tasks.get({ task_id })));
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('a batch that is too large is sent again one by one', async () => {
    const { server, client } = await start({ 'tasks.get': () => ({}) });
    server.next.push(
      (_, response) => sendJson(response, 200, { result: { data: {} } }),
      (_, response) =>
        sendJson(response, 413, { success: false, error: { code: 'PAYLOAD_TOO_LARGE', message: 'too large' } }),
    );
    await Promise.all(['a', 'b', 'c'].map((task_id) => client.tasks.get({ task_id })));
    expect(server.requests).toEqual(['tasks.get', 'tasks.get,tasks.get', 'tasks.get', 'tasks.get']);
  });
});

describe('errors', () => {
  test.each([
    ['VALIDATION_ERROR', 400, ValidationError],
    ['UNAUTHORIZED', 401, UnauthorizedError],
    ['LEASE_LOST', 409, LeaseLostError],
    ['PAYLOAD_TOO_LARGE', 413, PayloadTooLargeError],
  ])('%s becomes its own class', async (code, status, type) => {
    const details = { field: 'task_id', message: 'is bad' };
    const { client } = await start({
      'tasks.get': () => {
        throw new Refusal(code, status, details);
      },
    });
    const error = await client.tasks.get({ task_id: 'a' }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({
      name: type.name,
      code,
      status,
      details,
      retryable: false,
      message: `refused: ${code}: task_id is bad`,
    });
  });

  test('an answer in the envelope of REST, and the request id of its header, are understood', async () => {
    const { server, client } = await start({});
    const error = { code: 'UNAUTHORIZED', message: 'no key', details: null };
    server.next.push((_, response) => sendJson(response, 401, { success: false, error }, { 'x-request-id': 'r-1' }));
    const thrown = await client.stats.get().catch((cause: unknown) => cause);
    expect(thrown).toBeInstanceOf(UnauthorizedError);
    expect(thrown).toMatchObject({ code: 'UNAUTHORIZED', requestId: 'r-1' });
  });

  test('a page of a proxy is not mistaken for an answer', async () => {
    const { server, client } = await start({});
    server.next.push((_, response) => void response.writeHead(200).end('<html>welcome</html>'));
    await expect(client.stats.get()).rejects.toMatchObject({ message: expect.stringContaining('is the URL right?') });
  });

  test('a code of a newer server is still an OrchestratorError', async () => {
    const { client } = await start({
      'tasks.get': () => {
        throw new Refusal('QUOTA_EXCEEDED', 402);
      },
    });
    const thrown = await client.tasks.get({ task_id: 'a' }).catch((cause: unknown) => cause);
    expect(thrown).toBeInstanceOf(OrchestratorError);
    expect(thrown).toMatchObject({ code: 'QUOTA_EXCEEDED', status: 402 });
  });

  test('an input that is no JSON is reported as such and not repeated', async () => {
    const { server, client } = await start({ 'tasks.create': () => ({}) });
    const metadata = { big: 1n };
    await expect(client.tasks.create({ work_directory: '/a', prompt: 'p', metadata })).rejects.toBeInstanceOf(
      TypeError,
    );
    expect(server.requests).toEqual([]);
  });

  test('a bad option is refused at once', () => {
    expect(() => createClient({ url: 'nonsense' })).toThrow(TypeError);
    expect(() => createClient({ url: [] })).toThrow(TypeError);
    expect(() => createClient({ url: 'http://localhost', apiKey: 'line\nbreak' })).toThrow(TypeError);
  });
});

describe('retries', () => {
  test('a create whose answer was lost is repeated under the same idempotency key', async () => {
    const keys: string[] = [];
    const { server, client } = await start({
      'tasks.create': (input: { idempotency_key: string }) => {
        keys.push(input.idempotency_key);
        return { task_id: 'a' };
      },
    });
    server.next.push((request, _, body) => {
      keys.push((JSON.parse(body) as { idempotency_key: string }).idempotency_key);
      drop(request);
    });
    await client.tasks.create({ work_directory: '/a', prompt: 'p' });
    await client.tasks.create({ work_directory: '/a', prompt: 'p', idempotency_key: 'mine' });
    expect(keys).toEqual([keys[0], keys[0], 'mine']);
    expect(keys[0]).toMatch(/^[\da-f]{8}-[\da-f]{4}-7/);
  });

  test('every task of a batch gets a key of its own, unless it has one', async () => {
    const { client } = await start({ 'tasks.createMany': (input) => input });
    const draft = { work_directory: '/a', prompt: 'p' };
    const answer: unknown = await client.tasks.createMany({
      tasks: [draft, { ...draft, idempotency_key: 'mine' }, draft],
    });
    const keys = (answer as { tasks: Array<{ idempotency_key: string }> }).tasks.map((task) => task.idempotency_key);
    expect(keys[0]).toMatch(/:0$/);
    expect(keys[1]).toBe('mine');
    expect(keys[2]).toBe(keys[0]?.replace(/:0$/, ':2'));
  });

  test('an acquire is repeated under the same acquire_id', async () => {
    const { server, client } = await start({ 'tasks.acquire': (input) => ({ tasks: [], echo: input }) });
    let first = '';
    server.next.push((request, _, body) => {
      first = (JSON.parse(body) as { acquire_id: string }).acquire_id;
      drop(request);
    });
    const answer: unknown = await client.tasks.acquire({ worker_id: 'w' });
    expect(answer).toMatchObject({ echo: { acquire_id: first } });
    expect(first).not.toBe('');
  });

  test('a call that must not be done twice is not repeated once the server may have seen it', async () => {
    const { server, client } = await start({ 'tasks.next': () => null });
    server.next.push(drop);
    const call = client.tasks.next({ work_path: '/a', worker_id: 'w' });
    await expect(call).rejects.toMatchObject({ code: 'CONNECTION_ERROR', mayHaveArrived: true });
    expect(server.requests).toEqual(['tasks.next']);
  });

  test('a server that was never reached is tried again, for any call', async () => {
    const { server } = await start({ 'tasks.next': () => null });
    let attempts = 0;
    const client = createClient({
      url: server.url,
      retry: { minDelaySeconds: 0.001 },
      fetch: (url, init) => {
        const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
        return attempts++ < 2 ? Promise.reject(new TypeError('fetch failed', { cause: refused })) : fetch(url, init);
      },
    });
    await expect(client.tasks.next({ work_path: '/a', worker_id: 'w' })).resolves.toBeNull();
    expect(attempts).toBe(3);
  });

  test('a 429 is repeated after the time it names', async () => {
    const { server, client } = await start({ 'stats.get': () => ({ total_tasks: 1 }) });
    const error = { code: 'RATE_LIMITED', message: 'slower', details: null };
    server.next.push((_, response) => sendJson(response, 429, { error }, { 'retry-after': '0.2' }));
    const startedAt = performance.now();
    await client.stats.get();
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(195);
  });

  test('a 429 that asks for too long a pause is left to the caller', async () => {
    const { server, client } = await start({});
    const error = { code: 'RATE_LIMITED', message: 'slower', details: null };
    server.next.push((_, response) => sendJson(response, 429, { error }, { 'retry-after': '3600' }));
    const thrown = await client.stats.get().catch((cause: unknown) => cause);
    expect(thrown).toBeInstanceOf(RateLimitedError);
    expect(thrown).toMatchObject({ retryAfterSeconds: 3600, retryable: true });
  });

  test('attempts are bounded', async () => {
    const { server, client } = await start({}, { retry: { attempts: 3, minDelaySeconds: 0.001 } });
    server.next.push(
      ...Array.from(
        { length: 9 },
        () => (_: unknown, response: Parameters<typeof sendJson>[0]) => sendJson(response, 503, {}),
      ),
    );
    await expect(client.stats.get()).rejects.toBeInstanceOf(UnavailableError);
    expect(server.requests).toHaveLength(3);
  });

  test('the next url is asked when one does not answer', async () => {
    const { server } = await start({ 'stats.get': () => ({ total_tasks: 7 }) });
    const gone = await startFakeServer({});
    await gone.close();
    const client = createClient({ url: [gone.url, server.url], retry: { minDelaySeconds: 0.001 } });
    await expect(client.stats.get()).resolves.toEqual({ total_tasks: 7 });
  });
});

describe('ends of a call', () => {
  test('an aborted call rejects with the reason of its signal', async () => {
    const { client } = await start({ 'tasks.acquire': () => new Promise(() => {}) });
    const controller = new AbortController();
    const call = client.tasks.acquire({ worker_id: 'w', wait_seconds: 30 }, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
  });

  test('an aborted call does not wait for the others of its batch', async () => {
    const { client } = await start({ 'tasks.get': () => new Promise(() => {}) });
    const controller = new AbortController();
    const calls = ['a', 'b', 'c'].map((task_id) =>
      client.tasks.get({ task_id }, { signal: task_id === 'c' ? controller.signal : undefined }),
    );
    setTimeout(() => controller.abort(new Error('enough')), 20);
    await expect(calls[2]).rejects.toThrow('enough');
    void Promise.allSettled(calls);
  });

  test('an answer that does not come in time is a TIMEOUT', async () => {
    const { client } = await start(
      { 'tasks.get': () => new Promise(() => {}) },
      { timeoutSeconds: 0.05, retry: false },
    );
    const call = client.tasks.get({ task_id: 'a' });
    await expect(call).rejects.toBeInstanceOf(ConnectionError);
    await expect(call).rejects.toMatchObject({ code: 'TIMEOUT', retryable: true });
  });

  test('a signal ends the pause between two attempts', async () => {
    const { server, client } = await start({}, { retry: { minDelaySeconds: 60, maxDelaySeconds: 60 } });
    const controller = new AbortController();
    server.next.push((_, response) => {
      sendJson(response, 503, {});
      setTimeout(() => controller.abort(new Error('enough')), 20);
    });
    await expect(client.stats.get({}, { signal: controller.signal })).rejects.toThrow('enough');
  });
});

test('waitFor asks again until all tasks have finished', async () => {
  let calls = 0;
  const { client } = await start({
    'tasks.wait': ({ task_ids }: { task_ids: string[] }) => {
      const done = ++calls === 3;
      return { done, finished: done ? task_ids.map((task_id) => ({ task_id })) : [], pending: done ? [] : task_ids };
    },
  });
  await expect(client.tasks.waitFor(['a', 'b'])).resolves.toMatchObject({ done: true, pending: [] });
  expect(calls).toBe(3);
});

test('waitFor gives up when its time is up', async () => {
  const { client } = await start({
    'tasks.wait': ({ task_ids }: { task_ids: string[] }) => ({ done: false, finished: [], pending: task_ids }),
  });
  await expect(client.tasks.waitFor(['a'], { timeoutSeconds: 0.05 })).resolves.toMatchObject({
    done: false,
    pending: ['a'],
  });
});

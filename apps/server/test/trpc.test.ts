import type { AcquireOutput } from '@task-orchestrator/contract';
import {
  createTRPCClient,
  httpBatchLink,
  httpBatchStreamLink,
  httpLink,
  httpSubscriptionLink,
  TRPCClientError,
  type TRPCLink,
} from '@trpc/client';
import { EventSource } from 'eventsource';
import { describe, expect, test } from 'vitest';
import { MAX_BATCH } from '../src/transports/trpc/routes.ts';
import type { AppRouter } from '../src/transports/trpc/router.ts';
import { aCore, aTask } from './fake-core.ts';
import { KEY, startApp } from './start-app.ts';

const ID = '01920000-0000-7000-8000-000000000000';
const headers = { authorization: `Bearer ${KEY}` };
const client = (link: TRPCLink<AppRouter>) => createTRPCClient<AppRouter>({ links: [link] });
const options = (url: string) => ({ url: `${url}/trpc`, headers });

test.for([
  ['httpLink', httpLink],
  ['httpBatchLink', httpBatchLink],
  ['httpBatchStreamLink', httpBatchStreamLink],
] as const)('the official client works through %s', async ([, link]) => {
  const { url } = await startApp();
  const { tasks, stats } = client(link<AppRouter>(options(url)));
  const created = await tasks.create.mutate({ work_directory: '/a/', prompt: 'x' });
  const [found, list, statistics] = await Promise.all([
    tasks.get.query({ task_id: created.task_id }),
    tasks.list.query({ status: 'waiting' }),
    stats.get.query(),
  ]);
  expect(found).toEqual(created);
  expect(list.tasks).toEqual([created]);
  expect(statistics.tasks.waiting).toBe(1);
  const { tasks: acquired } = await tasks.acquire.mutate({ work_path: '/a', worker_id: 'w' });
  expect(acquired).toMatchObject([{ task_id: created.task_id, status: 'working' }]);
});

test.for([
  ['httpLink', httpLink],
  ['httpBatchLink', httpBatchLink],
  ['httpBatchStreamLink', httpBatchStreamLink],
] as const)('a refusal arrives with its code, details and HTTP status through %s', async ([, link]) => {
  const { url } = await startApp();
  const { tasks } = client(link<AppRouter>(options(url)));
  const [ok, missing, invalid] = await Promise.allSettled([
    tasks.list.query({}),
    tasks.get.query({ task_id: ID }),
    tasks.get.query({ task_id: 'nonsense' }),
  ]);
  expect(ok.status).toBe('fulfilled');
  expect(shapeOf(missing)).toEqual({
    message: expect.stringContaining(ID),
    code: -32004,
    data: { code: 'TASK_NOT_FOUND', httpStatus: 404, details: { task_id: ID }, path: 'tasks.get' },
  });
  const field = { field: 'task_id', message: 'must be a UUID' };
  expect(shapeOf(invalid)).toEqual({
    message: 'Invalid input data',
    code: -32600,
    data: { code: 'VALIDATION_ERROR', httpStatus: 400, details: { ...field, errors: [field] }, path: 'tasks.get' },
  });
});

function shapeOf(result: PromiseSettledResult<unknown>): unknown {
  const error: unknown = result.status === 'rejected' ? result.reason : undefined;
  if (!(error instanceof TRPCClientError)) throw new Error(`not refused by the server: ${String(error)}`);
  return error.shape;
}

test.for([
  ['httpLink', httpLink],
  ['httpBatchLink', httpBatchLink],
  ['httpBatchStreamLink', httpBatchStreamLink],
] as const)('a fault shows nothing of the inside through %s', async ([, link]) => {
  const core = aCore({ getTask: () => Promise.reject(new Error('SELECT secret')) });
  const { url } = await startApp({ core });
  const [result] = await Promise.allSettled([client(link<AppRouter>(options(url))).tasks.get.query({ task_id: ID })]);
  expect(shapeOf(result!)).toEqual({
    message: 'Internal error',
    code: -32603,
    data: {
      code: 'INTERNAL_ERROR',
      httpStatus: 500,
      details: { request_id: expect.any(String) },
      path: 'tasks.get',
    },
  });
});

describe('the protocol', () => {
  const ok = aCore({ getTask: () => Promise.resolve(aTask()), createTask: () => Promise.resolve(aTask()) });
  const input = (value: unknown) => encodeURIComponent(JSON.stringify(value));

  test('a mixed batch is 207, a uniform one has its own status', async () => {
    const { ask } = await startApp({ core: ok });
    const good = { task_id: ID };
    const bad = { task_id: 'x' };
    const batch = (one: object, other: object) =>
      ask('GET', `/trpc/tasks.get,tasks.get?batch=1&input=${input({ 0: one, 1: other })}`);
    expect((await batch(good, bad)).status).toBe(207);
    expect((await batch(good, good)).status).toBe(200);
    expect((await batch(bad, bad)).status).toBe(400);
    expect((await batch(good, bad)).json).toMatchObject([
      { result: { data: { task_id: ID } } },
      { error: { code: -32600 } },
    ]);
  });

  test(`a batch holds ${MAX_BATCH} calls at most, also in the form that is streamed`, async () => {
    const { ask } = await startApp({ core: ok });
    const path = (count: number) => `/trpc/${Array(count).fill('tasks.get').join()}?batch=1`;
    expect((await ask('GET', path(MAX_BATCH))).json).toHaveLength(MAX_BATCH);
    expect((await ask('GET', path(MAX_BATCH + 1))).status).toBe(400);
    expect((await ask('GET', `/trpc/${','.repeat(4000)}?batch=1`)).text.length).toBeLessThan(1000);
    const streamed = await ask('GET', path(MAX_BATCH + 1), { headers: { 'trpc-accept': 'application/jsonl' } });
    expect(streamed.text.length).toBeLessThan(1000);
  });

  test.for([
    ['an unknown operation', 'GET', '/trpc/tasks.nope', undefined, 404, 'NOT_FOUND'],
    ['a name that every object has', 'GET', '/trpc/constructor', undefined, 404, 'NOT_FOUND'],
    ['a mutation by GET', 'GET', '/trpc/tasks.next', undefined, 405, 'METHOD_NOT_ALLOWED'],
    ['broken JSON in the URL', 'GET', '/trpc/tasks.get?input={', undefined, 400, 'VALIDATION_ERROR'],
    ['broken JSON in the body', 'POST', '/trpc/tasks.create', '{', 400, 'VALIDATION_ERROR'],
    ['a batch whose inputs are a list', 'POST', '/trpc/tasks.create?batch=1', '[]', 400, 'VALIDATION_ERROR'],
    ['an input that is a list', 'POST', '/trpc/tasks.create', '[]', 400, 'VALIDATION_ERROR'],
  ] as const)('%s is refused in the form of the protocol', async ([, method, path, body, status, code]) => {
    const { ask } = await startApp({ core: ok });
    const answer = await ask(method, path, {
      body,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    });
    expect(answer.status).toBe(status);
    expect(answer.json.error).toMatchObject({
      code: expect.any(Number),
      message: expect.any(String),
      data: { code, httpStatus: status },
    });
    expect(answer.text).not.toContain('stack');
  });

  test('a body that is not JSON by its content type is 415', async () => {
    const { ask } = await startApp({ core: ok });
    const answer = await ask('POST', '/trpc/tasks.create', { body: '{}', headers: { 'content-type': 'text/plain' } });
    expect(answer.status).toBe(415);
    expect(answer.json.error.data.code).toBe('UNSUPPORTED_MEDIA_TYPE');
  });

  test('a query with a long input may travel by POST', async () => {
    const { ask } = await startApp({ core: ok });
    expect((await ask('POST', '/trpc/tasks.get', { body: { task_id: ID } })).json.result.data.task_id).toBe(ID);
  });

  test('answers without a key are 401 in the form of the protocol; health needs none', async () => {
    const { ask } = await startApp({ core: ok });
    const answer = await ask('GET', '/trpc/stats.get', { isAnonymous: true });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect(answer.json.error).toMatchObject({ code: -32001, data: { code: 'UNAUTHORIZED', httpStatus: 401 } });
    expect((await ask('GET', '/trpc/health.get', { isAnonymous: true })).status).toBe(200);
    expect((await ask('GET', '/trpc/health.get,stats.get?batch=1', { isAnonymous: true })).status).toBe(401);
  });
});

test('a streamed batch answers each call when it is ready', async () => {
  const gate = Promise.withResolvers<void>();
  const core = aCore({
    getTask: () => Promise.resolve(aTask()),
    listTasks: () => gate.promise.then(() => ({ tasks: [], next_cursor: null })),
  });
  const { url } = await startApp({ core });
  const { tasks } = client(httpBatchStreamLink<AppRouter>(options(url)));
  const slow = tasks.list.query({});
  expect(await tasks.get.query({ task_id: ID }).then(({ task_id }) => task_id)).toBe(ID);
  gate.resolve();
  expect((await slow).tasks).toEqual([]);
});

test.for([
  ['httpLink', httpLink],
  ['httpBatchLink', httpBatchLink],
] as const)('a caller that goes away ends its long poll, through %s', async ([, link]) => {
  const started = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const core = aCore({
    acquireTasks: (_input, signal) =>
      new Promise<AcquireOutput>((resolve) => {
        signal?.addEventListener('abort', () => {
          aborted.resolve();
          resolve({ tasks: [] });
        });
        started.resolve();
      }),
  });
  const { url } = await startApp({ core });
  const leaving = new AbortController();
  const call = client(link<AppRouter>(options(url))).tasks.acquire.mutate(
    { work_path: '/a', worker_id: 'w', wait_seconds: 60 },
    { signal: leaving.signal },
  );
  await started.promise;
  leaving.abort();
  await expect(call).rejects.toThrow();
  await aborted.promise;
});

describe('a subscription', () => {
  const subscriber = (url: string) =>
    client(
      httpSubscriptionLink({
        url: `${url}/trpc`,
        EventSource,
        eventSourceOptions: () => ({
          fetch: (input: string | URL | Request, init?: RequestInit) =>
            fetch(input, {
              ...init,
              headers: new Headers([...new Headers(init?.headers), ...Object.entries(headers)]),
            }),
        }),
      }),
    );

  test('follows events, and resumes after the last one it has seen', async () => {
    const { url, ask } = await startApp();
    const create = () => ask('POST', '/api/v1/tasks', { body: { work_directory: '/a', prompt: 'x' } });
    const seen: string[] = [];
    const follow = (last_event_id?: string) => {
      const started = Promise.withResolvers<void>();
      const subscription = subscriber(url).events.stream.subscribe(
        { work_directory: '/a', ...(last_event_id !== undefined && { last_event_id }) },
        {
          onStarted: () => started.resolve(),
          onData: ({ id, data }) => void seen.push(id, data.type),
          onError: started.reject,
        },
      );
      return { ...subscription, started: started.promise };
    };
    const first = follow();
    await first.started;
    await create();
    await expect.poll(() => seen).toEqual([expect.any(String), 'created']);
    first.unsubscribe();
    await create();
    const second = follow(seen[0]);
    await expect.poll(() => seen).toEqual([seen[0], 'created', expect.any(String), 'created']);
    second.unsubscribe();
    expect(Number(seen[2])).toBeGreaterThan(Number(seen[0]));
  });

  test('is not completed but reconnects when the server ends', async () => {
    const { url, app } = await startApp();
    const started = Promise.withResolvers<void>();
    const states: string[] = [];
    let isComplete = false;
    const subscription = subscriber(url).events.stream.subscribe(undefined, {
      onStarted: () => started.resolve(),
      onConnectionStateChange: ({ state }) => void states.push(state),
      onComplete: () => (isComplete = true),
    });
    await started.promise;
    await app.close();
    await expect.poll(() => states.filter((state) => state === 'connecting').length).toBeGreaterThan(1);
    expect(isComplete).toBe(false);
    subscription.unsubscribe();
  });

  test('with a bad filter is refused with the field', async () => {
    const { url } = await startApp();
    const error = await new Promise<TRPCClientError<AppRouter>>((resolve) => {
      subscriber(url).events.stream.subscribe({ status: 'open' as 'waiting' }, { onError: resolve });
    });
    expect(error.data).toMatchObject({ code: 'VALIDATION_ERROR', httpStatus: 400, details: { field: 'status' } });
  });

  test('without a key is refused', async () => {
    const { ask } = await startApp();
    const answer = await ask('GET', '/trpc/events.stream', {
      isAnonymous: true,
      headers: { accept: 'text/event-stream' },
    });
    expect(answer.status).toBe(401);
  });
});

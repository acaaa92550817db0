import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeQueue } from '../../test/fake-queue.ts';
import { Refusal, startFakeServer, type FakeServer } from '../../test/fake-server.ts';
import { endOfTurn } from '../end-of-turn.ts';
import {
  createClient,
  LeaseLostError,
  NonRetryableError,
  TaskCancelledError,
  UnauthorizedError,
  Worker,
  WorkerStoppedError,
  type AcquiredTask,
  type Handler,
  type WorkerActivity,
  type WorkerOptions,
} from '../index.ts';

let queue: FakeQueue;
let server: FakeServer;
let worker: Worker;
let life: Promise<void>;
const reported: Array<{ doing: WorkerActivity; error: unknown }> = [];

beforeEach(async () => {
  queue = new FakeQueue();
  server = await startFakeServer(queue.procedures);
  server.onEvents = queue.follow;
  reported.length = 0;
  life = Promise.resolve();
});
afterEach(async () => {
  await worker.stop({ timeoutSeconds: 0 });
  await life.catch(() => {});
  await server.close();
});

function start(handler: Handler, options: Partial<WorkerOptions> = {}): void {
  const client = createClient({ url: server.url, retry: { minDelaySeconds: 0.01, maxDelaySeconds: 0.05 } });
  worker = new Worker({ client, handler, onError: (error, { doing }) => reported.push({ doing, error }), ...options });
  life = worker.run();
}

/** A handler that runs until its signal aborts, and a promise of that reason. */
function untilAborted() {
  let tell: (reason: unknown) => void;
  const reason = new Promise<unknown>((resolve) => (tell = resolve));
  const handler: Handler = (_, { signal }) =>
    new Promise((_resolve, reject) => {
      const end = () => {
        tell(signal.reason);
        reject(signal.reason);
      };
      if (signal.aborted) end();
      else signal.addEventListener('abort', end);
    });
  return { handler, reason };
}

/** How many calls of a procedure were under way at a time. */
function countCalls(name: string): { readonly most: number } {
  const procedure = queue.procedures[name]!;
  const calls = { most: 0 };
  let underWay = 0;
  queue.procedures[name] = async (input, request) => {
    calls.most = Math.max(calls.most, ++underWay);
    await endOfTurn();
    underWay--;
    return procedure(input, request);
  };
  return calls;
}

/** The test's own time limit bounds the wait. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('what handlers return completes their tasks, and no more handlers run than there are slots', async () => {
  queue.add(50);
  let running = 0;
  let most = 0;
  const handler = async ({ task_id }: AcquiredTask) => {
    most = Math.max(most, ++running);
    await endOfTurn();
    running--;
    return { output: task_id };
  };
  start(handler, { concurrency: 8 });
  await queue.untilEnded(50);
  expect(queue.ended.map(({ result }) => (result as { output: string }).output).toSorted()).toEqual(
    Array.from({ length: 50 }, (_, index) => `t${index}`).toSorted(),
  );
  expect(most).toBe(8);
  // Those whose outcome is on its way leave their place to others.
  expect(queue.mostHeld).toBeLessThanOrEqual(16);
  // Acquired and completed in the same strides, not one by one.
  expect(server.requests.filter((path) => path === 'tasks.completeMany').length).toBeLessThanOrEqual(10);
});

test('while outcomes do not get through, only as many tasks are taken again as there are places', async () => {
  queue.add(20);
  const complete = queue.procedures['tasks.completeMany']!;
  const isOpen = Promise.withResolvers<void>();
  queue.procedures['tasks.completeMany'] = (input, request) => isOpen.promise.then(() => complete(input, request));
  start(() => {}, { concurrency: 2, prefetch: 1 });
  await until(() => worker.tasksHeld === 6);
  isOpen.resolve();
  await queue.untilEnded(20);
  expect(queue.mostHeld).toBe(6);
});

test('of a backlog each call takes half of the places, and two are under way', async () => {
  queue.add(40);
  const calls = countCalls('tasks.acquire');
  start(() => {}, { concurrency: 4, prefetch: 4 });
  await queue.untilEnded(40);
  const [first, ...others] = queue.limits;
  expect(first).toBe(8);
  expect(Math.max(...others)).toBe(4);
  expect(calls.most).toBe(2);
  expect(queue.mostHeld).toBeLessThanOrEqual(16);
});

test('a single handler takes tasks in the order of their hand-out, from one call after the other', async () => {
  queue.add(40);
  const calls = countCalls('tasks.acquire');
  const started: string[] = [];
  start(({ task_id }) => void started.push(task_id), { concurrency: 1, prefetch: 7 });
  await queue.untilEnded(40);
  expect(calls.most).toBe(1);
  expect(started).toEqual(Array.from({ length: 40 }, (_, index) => `t${index}`));
});

test('a worker that finds less than it asked for waits with one call', async () => {
  queue.add(3);
  const { handler } = untilAborted();
  start(handler, { concurrency: 8 });
  await until(() => worker.tasksHeld === 3);
  queue.add(1, { task_id: 't3' });
  await until(() => worker.tasksHeld === 4);
  expect(queue.limits).toEqual([8, 5]);
  await worker.stop({ timeoutSeconds: 0 });
});

test('a refused completion is reported for its own task, and the others are done', async () => {
  queue.add(3);
  let waiting = 0;
  const all = Promise.withResolvers<void>();
  const handler = async (): Promise<void> => {
    if (++waiting === 3) all.resolve();
    await all.promise;
  };
  const end = queue.procedures['tasks.completeMany']!;
  queue.procedures['tasks.completeMany'] = (input, request) => {
    queue.takeAway('t1');
    return end(input, request);
  };
  start(handler, { concurrency: 3 });
  await queue.untilEnded(2);
  await until(() => reported.length > 0);
  expect(queue.ended.map(({ task_id }) => task_id)).toEqual(['t0', 't2']);
  expect(reported).toMatchObject([{ doing: 'complete', error: { code: 'LEASE_LOST' } }]);
  expect(String(reported[0]!.error)).toContain('t1');
});

test.each([
  ['nothing', undefined, { status: 'success' }],
  ['a value', 42, { status: 'success', output: 42 }],
  ['null', null, { status: 'success', output: null }],
  ['an object with an output', { output: 'done', tokens: 7 }, { output: 'done', tokens: 7 }],
  ['a failure', { status: 'failure', output: 'red' }, { status: 'failure', output: 'red' }],
  ['any other object', { status: 'fine', note: 'x' }, { status: 'success', output: { status: 'fine', note: 'x' } }],
])('a handler that returns %s', async (_, value, result) => {
  queue.add(1);
  start(() => value);
  await queue.untilEnded(1);
  expect(queue.ended[0]).toMatchObject({ how: 'completed', result });
});

test.each([
  ['an error', new Error('broken'), { error: { message: 'broken' }, retryable: true }],
  [
    'an error that says when',
    Object.assign(new Error('later'), { retryAfterSeconds: 7, code: 'QUOTA' }),
    { error: { code: 'QUOTA', message: 'later' }, retryable: true, retry_after_seconds: 7 },
  ],
  ['a NonRetryableError', new NonRetryableError('never'), { error: { message: 'never' }, retryable: false }],
  ['text', 'oops', { error: { message: 'oops' }, retryable: true }],
  ['nothing', undefined, { error: { message: 'undefined' }, retryable: true }],
  [
    'something odd',
    Object.create(null),
    { error: { message: 'The handler threw something that is no error' }, retryable: true },
  ],
])('a handler that throws %s fails its task, not the worker', async (_, thrown, facts) => {
  queue.add(2);
  start(({ task_id }) => {
    if (task_id === 't0') throw thrown;
  });
  await queue.untilEnded(2);
  expect(queue.ended).toEqual([
    { task_id: 't0', how: 'failed', ...facts },
    { task_id: 't1', how: 'completed', result: { status: 'success' } },
  ]);
  expect(reported).toEqual([{ doing: 'handle', error: thrown }]);
});

test('a result that is no JSON fails its own task only', async () => {
  queue.add(3);
  start(({ task_id }) => (task_id === 't1' ? { output: 1n } : 'fine'), { concurrency: 3 });
  await queue.untilEnded(3);
  const failed = queue.ended.find(({ how }) => how === 'failed');
  expect(failed).toMatchObject({ task_id: 't1', error: { code: 'RESULT_REFUSED' }, retryable: false });
});

test('a cancel reaches the signal within a second, and the task ends failed for good', async () => {
  queue.add(1);
  const { handler, reason } = untilAborted();
  const running = new Promise<void>((resolve) => {
    server.onEvents = (request, response) => {
      queue.follow(request, response);
      resolve();
    };
  });
  start(handler);
  await running;
  const cancelledAt = performance.now();
  queue.cancel('t0', 'not needed');
  await expect(reason).resolves.toBeInstanceOf(TaskCancelledError);
  expect(performance.now() - cancelledAt).toBeLessThan(1000);
  await queue.untilEnded(1);
  expect(queue.ended[0]).toMatchObject({
    how: 'failed',
    error: { code: 'CANCELLED', message: 'task t0 is cancelled: not needed' },
    retryable: false,
  });
  expect(reported).toEqual([]);
});

test('a cancel from before the stream stood is found by the heartbeat that follows', async () => {
  queue.add(1, { cancel_requested: true, cancel_reason: 'early' });
  const { handler, reason } = untilAborted();
  start(handler);
  await expect(reason).resolves.toMatchObject({ reason: 'early' });
});

test('a cancelled handler that returns has done its work', async () => {
  queue.add(1);
  start(async (_, { signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return 'done anyway';
  });
  await until(() => worker.tasksHeld === 1);
  queue.cancel('t0', 'late');
  await queue.untilEnded(1);
  expect(queue.ended[0]).toMatchObject({ how: 'completed', result: { output: 'done anyway' } });
});

test('a lost lease aborts the signal, and the result is dropped', async () => {
  queue.leaseSeconds = 1;
  queue.add(1);
  const { handler, reason } = untilAborted();
  start(handler);
  await until(() => worker.tasksHeld === 1);
  queue.takeAway('t0');
  await expect(reason).resolves.toBeInstanceOf(LeaseLostError);
  await until(() => worker.tasksHeld === 0);
  expect(queue.ended).toEqual([]);
  expect(server.requests.filter((path) => path === 'tasks.fail')).toEqual([]);
});

test('progress is coalesced, and logs arrive before the completion', async () => {
  queue.add(1);
  start(async (_, { progress, log }) => {
    for (let percent = 0; percent <= 50; percent++) progress(percent, `step ${percent}`);
    log('first');
    log('second', 'stderr');
    await new Promise((resolve) => setTimeout(resolve, 1300));
    log('last');
  });
  await queue.untilEnded(1);
  expect(queue.progress).toEqual([{ percent: 50, message: 'step 50' }]);
  expect(queue.logs).toEqual(['first', 'second', 'last']);
  const { requests } = server;
  expect(requests.lastIndexOf('tasks.appendLog')).toBeLessThan(requests.indexOf('tasks.completeMany'));
});

test('stop lets running handlers end, and takes no more tasks', async () => {
  queue.add(3);
  let begin: () => void;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  start(async () => {
    begin();
    await new Promise((resolve) => setTimeout(resolve, 100));
    return 'drained';
  });
  await begun;
  await worker.stop();
  await life;
  expect(queue.ended).toEqual([{ task_id: 't0', how: 'completed', result: { status: 'success', output: 'drained' } }]);
  expect(queue.waiting).toHaveLength(2);
});

test('stop aborts handlers after its time, and gives their tasks back', async () => {
  queue.add(1);
  const { handler, reason } = untilAborted();
  start(handler);
  await until(() => worker.tasksHeld === 1);
  await worker.stop({ timeoutSeconds: 0.05 });
  await expect(reason).resolves.toBeInstanceOf(WorkerStoppedError);
  expect(queue.ended).toEqual([{ task_id: 't0', how: 'released' }]);
});

test('tasks that were handed out while the worker stopped waiting are given back', async () => {
  queue.add(1);
  queue.losesNextAnswer = true;
  start(() => {});
  await until(() => queue.held.size === 1);
  await worker.stop();
  expect(queue.ended).toEqual([{ task_id: 't0', how: 'released' }]);
});

test('prefetched tasks are held beside the running ones, and given back by stop', async () => {
  queue.add(10);
  const { handler } = untilAborted();
  start(handler, { concurrency: 2, prefetch: 3 });
  await until(() => worker.tasksHeld === 5);
  await worker.stop({ timeoutSeconds: 0 });
  expect(queue.ended.map(({ how }) => how)).toEqual(['released', 'released', 'released', 'released', 'released']);
});

test('work goes on through a restart of the server', async () => {
  queue.add(1);
  let begin: () => void;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  let finish: () => void;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  start(async () => {
    begin();
    await finished;
    return 'survived';
  });
  await begun;
  const { port } = server;
  await server.close();
  finish!();
  await new Promise((resolve) => setTimeout(resolve, 300));
  server = await startFakeServer(queue.procedures, port);
  await queue.untilEnded(1);
  queue.add(1);
  await queue.untilEnded(2);
  expect(queue.ended.map(({ how }) => how)).toEqual(['completed', 'completed']);
});

test('a refused key ends run', async () => {
  queue.procedures['tasks.acquire'] = undefined as never;
  server.next.push(
    (_, response) =>
      void response
        .writeHead(401)
        .end(JSON.stringify({ error: { code: 'UNAUTHORIZED', message: 'no such key', details: null } })),
  );
  start(() => {});
  await expect(life).rejects.toBeInstanceOf(UnauthorizedError);
});

test('a key that is refused later lets handlers end for as long as a stop does', async () => {
  queue.add(1);
  const acquire = queue.procedures['tasks.acquire']!;
  let calls = 0;
  queue.procedures['tasks.acquire'] = (input, request) => {
    if (++calls > 1) throw new Refusal('UNAUTHORIZED', 401);
    return acquire(input, request);
  };
  const { handler, reason } = untilAborted();
  start(handler, { concurrency: 2, drainTimeoutSeconds: 0.05 });
  await expect(life).rejects.toBeInstanceOf(UnauthorizedError);
  await expect(reason).resolves.toBeInstanceOf(WorkerStoppedError);
  expect(queue.ended).toEqual([{ task_id: 't0', how: 'released' }]);
});

test('an onError that throws harms nobody', async () => {
  queue.add(2);
  start(
    () => {
      throw new Error('handler');
    },
    {
      onError: () => {
        throw new Error('observer');
      },
    },
  );
  await queue.untilEnded(2);
});

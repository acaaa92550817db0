import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import {
  ForbiddenError,
  TaskCancelledError,
  TaskNotFoundError,
  Worker,
  type Client,
  type Handler,
  type Output,
  type TaskEvent,
  type WorkerOptions,
} from '../src/index.ts';
import { RealServer } from './real-server.ts';
import { startTcpProxy } from './tcp-proxy.ts';

vi.setConfig({ testTimeout: 30_000 });

let server: RealServer;
let workers: Worker[] = [];
let count = 0;

beforeAll(async () => {
  server = await RealServer.start();
});
afterAll(() => server.close());
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop({ timeoutSeconds: 0 })));
  workers = [];
});

/** A directory that no other test uses. */
const aDirectory = () => `/srv/repo-${++count}`;

function startWorker(workPath: string, handler: Handler, options: Partial<WorkerOptions> = {}): Worker {
  const worker = new Worker({ client: server.client(), workPath, handler, ...options });
  workers.push(worker);
  void worker.run();
  return worker;
}

/** As a key of the role worker for one directory sees the service. */
async function aWorkersClient(directory: string): Promise<Client> {
  const { secret } = await server.client().keys.create({ name: 'w', roles: ['worker'], path_prefixes: [directory] });
  return server.client({ apiKey: secret });
}

async function createTasks(directory: string, size = 1): Promise<string[]> {
  const tasks = Array.from({ length: size }, (_, index) => ({ work_directory: directory, prompt: `do ${index}` }));
  const created = await server.client().tasks.createMany({ tasks });
  return created.tasks.map(({ task_id }) => task_id);
}

/** Runs until its signal aborts, and tells when it began and when and why it was aborted. */
function anEndlessHandler() {
  const begun: string[] = [];
  const aborted = new Map<string, { at: number; reason: unknown }>();
  const handler: Handler = (task, { signal }) =>
    new Promise((_, reject) => {
      begun.push(task.task_id);
      signal.addEventListener('abort', () => {
        aborted.set(task.task_id, { at: performance.now(), reason: signal.reason });
        reject(signal.reason);
      });
    });
  return { handler, begun, aborted };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

test('a worker does what was submitted, and its output, logs and progress are there for all to see', async () => {
  const directory = aDirectory();
  const [taskId = ''] = await createTasks(directory);
  startWorker(directory, async (task, { progress, log }) => {
    log(`working on ${task.prompt}`);
    progress(50, 'half way');
    await new Promise((resolve) => setTimeout(resolve, 1200));
    return { output: { answer: 42 } };
  });
  const client = server.client();
  const { done, finished } = await client.tasks.waitFor([taskId]);
  expect(done).toBe(true);
  expect(finished[0]).toMatchObject({ status: 'completed', result: { status: 'success', output: { answer: 42 } } });
  const { entries } = await client.tasks.logs({ task_id: taskId });
  expect(entries.map(({ text }) => text)).toEqual(['working on do 0']);
  await expect(client.tasks.get({ task_id: taskId })).resolves.toMatchObject({
    progress: { percent: 50, message: 'half way' },
  });
});

test('95 of 100 cancels reach the signal within a second, and the tasks end cancelled', async () => {
  const directory = aDirectory();
  const taskIds = await createTasks(directory, 20);
  const { handler, begun, aborted } = anEndlessHandler();
  startWorker(directory, handler, { concurrency: 20 });
  await until(() => begun.length === 20);
  const client = server.client();
  const requested = new Map<string, number>();
  for (const [index, taskId] of taskIds.entries()) {
    // Some right after their start, the others later.
    if (index === 5) await new Promise((resolve) => setTimeout(resolve, 1000));
    requested.set(taskId, performance.now());
    await client.tasks.cancel({ task_id: taskId, reason: 'changed my mind' });
  }
  const { finished } = await client.tasks.waitFor(taskIds);
  expect(finished.every(({ status }) => status === 'cancelled')).toBe(true);
  const latencies = taskIds
    .map((id) => (aborted.get(id)?.at ?? Infinity) - (requested.get(id) ?? 0))
    .toSorted((a, b) => a - b);
  console.log(`cancel to signal: median ${latencies[10]?.toFixed(0)} ms, worst ${latencies.at(-1)?.toFixed(0)} ms`);
  expect(latencies[18]).toBeLessThan(1000);
  const [first] = aborted.values();
  expect(first?.reason).toBeInstanceOf(TaskCancelledError);
});

test('a task cancelled by force aborts the signal at once, long before its next heartbeat', async () => {
  const directory = aDirectory();
  const [taskId = ''] = await createTasks(directory);
  const { handler, begun, aborted } = anEndlessHandler();
  startWorker(directory, handler, { leaseSeconds: 600 });
  await until(() => begun.length === 1);
  await server.client().tasks.cancel({ task_id: taskId, force: true });
  await until(() => aborted.size === 1);
  // Told by the stream of events, or by the heartbeat that follows when the stream opens.
  expect(aborted.get(taskId)?.reason).toMatchObject({ code: expect.stringMatching(/^(TASK_CANCELLED|LEASE_LOST)$/) });
  await expect(server.client().tasks.get({ task_id: taskId })).resolves.toMatchObject({ status: 'cancelled' });
});

test('work goes on through a kill of the server: same attempt, no task done twice, none forgotten', async () => {
  const directory = aDirectory();
  const taskIds = await createTasks(directory, 30);
  const done: string[] = [];
  startWorker(
    directory,
    async ({ task_id }) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      done.push(task_id);
    },
    { concurrency: 5 },
  );
  await until(() => done.length >= 8);
  await server.kill('SIGKILL');
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await server.start();
  const { finished } = await server.client().tasks.waitFor(taskIds, { timeoutSeconds: 30 });
  expect(finished.map(({ status, attempt }) => `${status} ${attempt}`)).toEqual(taskIds.map(() => 'completed 1'));
  expect(done.toSorted()).toEqual(taskIds.toSorted());
});

test('stop drains what runs, gives back what does not end, and leaves nothing held', async () => {
  const directory = aDirectory();
  const [quickId = '', slowId = ''] = await createTasks(directory, 2);
  const { handler, begun } = anEndlessHandler();
  const worker = startWorker(
    directory,
    async (task, context) => {
      if (task.task_id === slowId) return handler(task, context);
      begun.push(task.task_id);
      await new Promise((resolve) => setTimeout(resolve, 200));
      return 'drained';
    },
    { concurrency: 2 },
  );
  await until(() => begun.length === 2);
  await worker.stop({ timeoutSeconds: 0.5 });
  const client = server.client();
  await expect(client.tasks.get({ task_id: quickId })).resolves.toMatchObject({
    status: 'completed',
    result: { output: 'drained' },
  });
  // A release does not count as an attempt.
  await expect(client.tasks.get({ task_id: slowId })).resolves.toMatchObject({ status: 'waiting', attempt: 0 });
});

test('a worker that stops while it waits for a task leaves none stranded', async () => {
  const directory = aDirectory();
  for (let round = 0; round < 10; round++) {
    const worker = startWorker(directory, () => {});
    await new Promise((resolve) => setTimeout(resolve, 30));
    const [[taskId = '']] = await Promise.all([createTasks(directory), worker.stop()]);
    // Long before the lease would end: the server takes back what it handed to a connection that was gone.
    let status = 'working';
    for (let attempt = 0; status === 'working' && attempt < 50; attempt++) {
      ({ status } = await server.client().tasks.get({ task_id: taskId }));
    }
    expect(['waiting', 'completed']).toContain(status);
  }
});

test('a create whose answer is lost on the way makes one task', async () => {
  const proxy = await startTcpProxy(server.port);
  try {
    const client = server.client({ url: proxy.url, retry: { minDelaySeconds: 0.01 } });
    const directory = aDirectory();
    for (let round = 0; round < 5; round++) {
      proxy.dropNextAnswer();
      await client.tasks.create({ work_directory: directory, prompt: `round ${round}` });
      proxy.dropNextAnswer();
      await client.tasks.createMany({
        tasks: [
          { work_directory: directory, prompt: 'a' },
          { work_directory: directory, prompt: 'b' },
        ],
      });
    }
    expect(proxy.dropped).toBe(10);
    const { total } = await client.tasks.list({ work_directory: directory });
    expect(total).toBe(15);
  } finally {
    await proxy.close();
  }
});

test('an acquire whose answer is lost gets the same tasks again', async () => {
  const proxy = await startTcpProxy(server.port);
  try {
    const directory = aDirectory();
    await createTasks(directory, 3);
    const client = server.client({ url: proxy.url, retry: { minDelaySeconds: 0.01 } });
    proxy.dropNextAnswer();
    const { tasks } = await client.tasks.acquire({ work_path: directory, worker_id: 'w', limit: 3 });
    expect(tasks.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
  } finally {
    await proxy.close();
  }
});

test('a stream loses and doubles nothing, however often its connection breaks', async () => {
  const proxy = await startTcpProxy(server.port);
  const controller = new AbortController();
  const directory = aDirectory();
  const events: TaskEvent[] = [];
  const client = server.client({ url: proxy.url });
  const reading = (async () => {
    const { signal } = controller;
    for await (const event of client.events.stream({ work_directory: directory, last_event_id: '0' }, { signal }))
      events.push(event);
  })();
  const created: Array<Output<'tasks', 'create'>> = [];
  for (let index = 0; index < 60; index++) {
    created.push(await server.client().tasks.create({ work_directory: directory, prompt: `${index}` }));
    if (index % 15 === 7) proxy.breakConnections();
  }
  await until(() => events.length >= 60);
  controller.abort();
  await reading;
  await proxy.close();
  expect(events.map(({ task_id }) => task_id)).toEqual(created.map(({ task_id }) => task_id));
});

test('a key of the role worker for its directory is all that a worker needs, cancels included', async () => {
  const directory = aDirectory();
  const client = await aWorkersClient(directory);
  const problems: unknown[] = [];
  const { handler, begun, aborted } = anEndlessHandler();
  const [first = '', second = ''] = await createTasks(`${directory}/sub`, 2);
  const options = { client, subtree: true, concurrency: 2, onError: (error: unknown) => problems.push(error) };
  startWorker(
    directory,
    async (task, context) => {
      if (task.task_id === second) return { output: 'done' };
      context.log('waiting for the end');
      return handler(task, context);
    },
    options,
  );
  await until(() => begun.includes(first));
  await server.client().tasks.cancel({ task_id: first });
  await until(() => aborted.has(first));
  const { finished } = await server.client().tasks.waitFor([first, second]);
  expect(finished.map(({ status }) => status)).toEqual(['cancelled', 'completed']);
  expect(problems).toEqual([]);

  await expect(client.tasks.create({ work_directory: directory, prompt: 'x' })).rejects.toBeInstanceOf(ForbiddenError);
  const [outside = ''] = await createTasks(aDirectory());
  await expect(client.tasks.get({ task_id: outside })).rejects.toBeInstanceOf(TaskNotFoundError);
});

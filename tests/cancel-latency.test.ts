import { setTimeout as pause } from 'node:timers/promises';
import { TaskCancelledError, Worker, type Client, type Handler } from '@task-orchestrator/client';
import { expect, onTestFinished, test } from 'vitest';
import { seededRandom } from './support/seeded-random.ts';
import { ServerProcess } from './support/server-process.ts';
import { describeTimes, quantile } from './support/times.ts';
import { until } from './support/until.ts';

const WORKERS = 20;
const ROUNDS = 4;
/** A third of it is the interval of heartbeats, which therefore bring no cancel within this test. */
const LEASE_SECONDS = 300;

test(`95 of 100 cancels reach the signal of the handler within a second, with ${WORKERS} workers`, async () => {
  const random = seededRandom();
  const server = await ServerProcess.start();
  const client = server.client();
  const begun = new Set<string>();
  const aborted = new Map<string, { at: number; reason: unknown }>();
  startWorkers(server, (task, { signal }) => {
    begun.add(task.task_id);
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        aborted.set(task.task_id, { at: performance.now(), reason: signal.reason });
        reject(signal.reason);
      });
    });
  });

  const latencies: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const taskIds = await createTasks(client);
    await until('the start of all handlers', () => taskIds.every((id) => begun.has(id)));
    await Promise.all(
      taskIds.map(async (task_id) => {
        // Some right after the start, others when the worker has been at it for a while.
        await pause(random.integer(0, 2000));
        const askedAt = performance.now();
        await client.tasks.cancel({ task_id, reason: 'not needed any more' });
        const { at, reason } = await until('the abort', () => aborted.get(task_id));
        latencies.push(at - askedAt);
        expect(reason).toBeInstanceOf(TaskCancelledError);
      }),
    );
    const { finished } = await client.tasks.waitFor(taskIds, { timeoutSeconds: 10 });
    expect(finished.map(({ status }) => status)).toEqual(taskIds.map(() => 'cancelled'));
  }
  console.log(`cancel requested → signal aborted: ${describeTimes(latencies)}`);
  expect(quantile(latencies, 0.95)).toBeLessThan(1000);
});

function startWorkers(server: ServerProcess, handler: Handler): void {
  const workers = Array.from({ length: WORKERS }, (_, index) => {
    const options = { client: server.client(), workPath: '/cancel', workerId: `worker-${index}` };
    return new Worker({ ...options, leaseSeconds: LEASE_SECONDS, handler });
  });
  const lives = workers.map((worker) => worker.run());
  onTestFinished(async () => {
    await Promise.all(workers.map((worker) => worker.stop({ timeoutSeconds: 0 })));
    await Promise.all(lives);
  });
}

async function createTasks(client: Client): Promise<string[]> {
  const drafts = Array.from({ length: WORKERS }, (_, index) => ({
    work_directory: '/cancel',
    prompt: `task ${index}`,
  }));
  const { tasks } = await client.tasks.createMany({ tasks: drafts });
  return tasks.map(({ task_id }) => task_id);
}

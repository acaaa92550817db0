import type { ChildProcess } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, Worker, type Client } from '@task-orchestrator/client';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgres, withClient, type PostgresServer } from '../packages/core/test/postgres-server.ts';
import { readTasks } from './support/all-tasks.ts';
import type { ChaosWorkerMessage, ChaosWorkerOptions } from './support/chaos-worker.ts';
import { groupByTask, ofType, readHistory } from './support/history.ts';
import { end, startNode } from './support/processes.ts';
import { seededRandom } from './support/seeded-random.ts';
import { API_KEY, ServerProcess } from './support/server-process.ts';
import { until } from './support/until.ts';

const TASKS = 10_000;
const SERVERS = 3;
const WORKERS = 8;
/** How many completions pass before the trouble begins, and how many while it lasts. */
const CALM = 2_000;
const TROUBLED = 3_000;
const LEASE_SECONDS = 3;

test(
  `${TASKS} tasks are done once each while servers, workers and connections are killed and PostgreSQL restarts`,
  { timeout: 240_000 },
  async () => {
    const random = seededRandom();
    const postgres = await startOwnPostgres();
    const database = await postgres.createDatabase();
    const servers = await Promise.all(
      Array.from({ length: SERVERS }, () =>
        ServerProcess.startOnKeptPort({ APP_DATABASE_URL: database, APP_DATABASE_CONNECTION_TIMEOUT: '10' }),
      ),
    );
    const urls = servers.map(({ url }) => url);
    const client = createClient({ url: urls, apiKey: API_KEY, retry: { attempts: 1000, maxDelaySeconds: 0.2 } });
    const ids = await createTasks(client, TASKS);

    const completed = new Map<string, string>();
    const startWorker = (): ChildProcess => {
      const worker = startChaosWorker(urls, `worker-${random.integer(1, 2 ** 30)}`);
      worker.on('message', (completions: ChaosWorkerMessage) => {
        for (const { task_id, lease_token } of completions) completed.set(task_id, lease_token);
      });
      return worker;
    };
    const workers = Array.from({ length: WORKERS }, startWorker);
    const troubles = {
      async 'server killed'() {
        const server = random.pick(servers);
        await server.kill();
        server.launch();
      },
      async 'worker killed'() {
        const index = random.integer(0, WORKERS - 1);
        await end(workers[index]!, 'SIGKILL');
        workers[index] = startWorker();
      },
      'connections killed': () => killBackends(database, 0.3),
      'PostgreSQL restarted': () => postgres.crashAndRestart(),
    };
    const happened: Record<string, number> = {};

    await until('the workers are at it', () => completed.size > 0, { withinMs: 60_000 });
    const rate = createRate(() => completed.size);
    await until('calm progress', () => completed.size >= CALM, { withinMs: 60_000 });
    const before = rate.take();
    while (completed.size < CALM + TROUBLED) {
      const name = random.pick([
        'server killed',
        'worker killed',
        'connections killed',
        'connections killed',
        'PostgreSQL restarted',
      ] as const);
      await troubles[name]();
      happened[name] = (happened[name] ?? 0) + 1;
      const soFar = completed.size;
      await until('progress after trouble', () => completed.size > soFar, { withinMs: 60_000 });
      await pause(random.integer(0, 500));
    }
    const during = rate.take();
    const isDone = async (): Promise<boolean> => (await client.stats.get()).tasks.completed >= TASKS;
    await until('every task is done', isDone, { withinMs: 120_000, everyMs: 200 });
    const after = rate.take();
    console.log(`tasks/s before, during and after: ${before}, ${during}, ${after}; ${JSON.stringify(happened)}`);

    await Promise.all(workers.map((worker) => end(worker, 'SIGKILL')));
    const tasks = await readTasks(client);
    const history = groupByTask(await readHistory(client));
    expect(ids.filter((id) => tasks.get(id)?.status !== 'completed')).toEqual([]);
    expect(ids.filter((id) => ofType(history.get(id) ?? [], 'completed').length !== 1)).toEqual([]);
    // The result is that of the latest lease, and what a worker was told of its completion is true.
    const outputOf = (id: string) => tasks.get(id)?.result?.output as { leaseToken: string; leaseEpoch: number };
    expect(ids.filter((id) => outputOf(id).leaseEpoch !== tasks.get(id)?.lease_epoch)).toEqual([]);
    expect([...completed].filter(([id, token]) => outputOf(id).leaseToken !== token)).toEqual([]);
    const acquisitions = ids.map((id) =>
      ofType(history.get(id) ?? [], 'acquired').map(({ lease_epoch }) => lease_epoch),
    );
    expect(acquisitions.filter((epochs) => epochs.some((epoch, index) => epoch !== index + 1))).toEqual([]);
    expect(tasks.size).toBeGreaterThanOrEqual(TASKS);
  },
);

test('a snapshot that somebody holds does not bring throughput below half', { timeout: 120_000 }, async () => {
  const postgres = await startOwnPostgres();
  const measure = async (isHeld: boolean): Promise<number> => {
    const database = await postgres.createDatabase();
    const server = await ServerProcess.start({ APP_DATABASE_URL: database });
    const client = server.client();
    const run = async (): Promise<number> => {
      const ids = await createTasks(client, 3_000);
      const began = performance.now();
      const worker = new Worker({ client, workPath: '/chaos', subtree: true, concurrency: 50, handler: () => 'done' });
      const running = worker.run();
      await until('the tasks are done', async () => (await client.stats.get()).tasks.waiting === 0, {
        withinMs: 60_000,
        everyMs: 50,
      });
      const seconds = (performance.now() - began) / 1000;
      await worker.stop();
      await running;
      return ids.length / seconds;
    };
    if (!isHeld) {
      await run();
      return run();
    }
    return withClient(database, async (session) => {
      await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      // A snapshot, and a transaction number as well: the worst of both.
      await session.query('SELECT count(*), pg_current_xact_id() FROM tasks');
      await run();
      return run();
    });
  };
  const free = await measure(false);
  const held = await measure(true);
  console.log(
    `tasks/s without and with a held snapshot: ${Math.round(free)}, ${Math.round(held)}: ${(held / free).toFixed(2)}`,
  );
  expect(held / free).toBeGreaterThan(0.4);
});

async function startOwnPostgres(): Promise<PostgresServer> {
  const postgres = await startPostgres({ fsync: true });
  onTestFinished(() => postgres.stop());
  return postgres;
}

async function createTasks(client: Client, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const drafts = Array.from({ length: 500 }, (_, index) => ({
      work_directory: `/chaos/${index % 20}`,
      prompt: `task ${ids.length + index}`,
      max_attempts: 100,
    }));
    const { tasks } = await client.tasks.createMany({ tasks: drafts });
    ids.push(...tasks.map(({ task_id }) => task_id));
  }
  return ids;
}

function startChaosWorker(urls: readonly string[], workerId: string): ChildProcess {
  const options: ChaosWorkerOptions = { urls, apiKey: API_KEY, workerId, concurrency: 4, leaseSeconds: LEASE_SECONDS };
  return startNode('tests/support/chaos-worker.ts', [JSON.stringify(options)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

async function killBackends(url: string, share: number): Promise<void> {
  await withClient(url, (client) =>
    client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < $1',
      [share],
    ),
  );
}

/** How much was counted per second since it was asked last. */
function createRate(count: () => number): { take(): number } {
  let from = { count: count(), at: performance.now() };
  return {
    take() {
      const to = { count: count(), at: performance.now() };
      const rate = Math.round(((to.count - from.count) / (to.at - from.at)) * 1000);
      from = to;
      return rate;
    },
  };
}

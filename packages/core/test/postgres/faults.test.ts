import { DomainError } from '@task-orchestrator/core';
import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { PostgresConnection } from '../../src/db/postgres/postgres-connection.ts';
import { createTasks } from '../../src/repository/create.ts';
import { aTask, anAcquire, cancelOf, completionOf, heartbeatOf, listOf, refused, statusOf, take } from '../builders.ts';
import { startPostgres, withClient, type PostgresServer } from '../postgres-server.ts';
import { startLoad } from './load.ts';
import { openReplica, until } from './replicas.ts';

// A server of its own: the others' must not be restarted.
let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

const killBackends = (url: string, share: number): Promise<unknown> =>
  withClient(url, (client) =>
    client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < $1',
      [share],
    ),
  );

async function openSession(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

async function readStatistic(url: string, column: 'deadlocks' | 'xact_rollback'): Promise<number> {
  const { rows } = await withClient(url, (client) =>
    client.query<Record<string, string>>(`SELECT ${column} FROM pg_stat_database WHERE datname = current_database()`),
  );
  return Number(rows[0]![column]);
}

async function isAnyoneWaiting(url: string): Promise<boolean> {
  const { rows } = await withClient(url, (client) => client.query('SELECT 1 FROM pg_locks WHERE NOT granted'));
  return rows.length > 0;
}

async function openPair(url: string) {
  const [a, b] = [await openReplica(url), await openReplica(url)];
  return { a, b, cores: [a.core, b.core] };
}

test(
  'backends killed under load cost nothing that was acknowledged, and run nothing twice',
  { timeout: 60_000 },
  async () => {
    const url = await server.createDatabase();
    const { cores } = await openPair(url);
    const load = startLoad(cores);
    for (let round = 0; round < 30; round++) {
      await until('some progress', () => load.completed.size > round * 2);
      await killBackends(url, 0.4);
    }
    await load.finish();
    expect(load.refusals.get('UNAVAILABLE')).toBeGreaterThan(0);
  },
);

test(
  'a crash and restart of the database under load costs nothing that was acknowledged',
  { timeout: 60_000 },
  async () => {
    const url = await server.createDatabase();
    const { cores } = await openPair(url);
    const load = startLoad(cores);
    for (let round = 1; round <= 3; round++) {
      const before = load.completed.size;
      await until('some progress', () => load.completed.size > before + 20, 20_000);
      await server.crashAndRestart();
    }
    await load.finish();
    expect(load.refusals.get('UNAVAILABLE')).toBeGreaterThan(0);
  },
);

test(
  'while the database is away requests are told so at once, and after it all goes on by itself',
  { timeout: 60_000 },
  async () => {
    const url = await server.createDatabase();
    const { a, b } = await openPair(url);
    const task = await a.core.createTask(aTask());
    const held = await take(a.core);
    await server.crashAndRestart(async () => {
      // A connection pool finds out about its dead connections one by one.
      for (let index = 0; index < 5; index++) {
        await refused('UNAVAILABLE', a.core.createTask(aTask()));
        await refused('UNAVAILABLE', b.core.acquireTasks(anAcquire({ acquire_id: 'x' })));
        await refused('UNAVAILABLE', a.core.completeTask(completionOf(held)));
        await expect(b.core.ping()).rejects.toThrow();
      }
    });
    await a.core.heartbeat(heartbeatOf(held));
    await a.core.completeTask(completionOf(held));
    expect(await statusOf(b.core, task)).toBe('completed');
    // The servers hear of each other again.
    await until('both listen', async () => {
      const { rows } = await withClient(url, (client) =>
        client.query(
          "SELECT 1 FROM pg_stat_activity WHERE application_name = 'task-orchestrator listener' AND datname = current_database()",
        ),
      );
      return rows.length === 2;
    });
    const answer = b.core.acquireTasks(anAcquire({ wait_seconds: 10 }));
    const next = await a.core.createTask(aTask());
    expect((await answer).tasks).toMatchObject([{ task_id: next.task_id }]);
  },
);

test('a request that finds no free connection waits for one, and then says so', { timeout: 20_000 }, async () => {
  const url = await server.createDatabase();
  const { core } = await openReplica(url, {
    background: false,
    database: { maxConnections: 2, connectionTimeoutSeconds: 1 },
  });
  const task = await core.createTask(aTask());
  const session = await openSession(url);
  await session.query('BEGIN; LOCK TABLE tasks');
  const readers = [core.getTask(task), core.getTask(task)];
  await refused('UNAVAILABLE', core.createTask(aTask()));
  const late = core.createTask(aTask());
  await session.query('COMMIT');
  await Promise.all(readers);
  expect((await late).status).toBe('waiting');
});

test('a deadlock with another session is tried again until it goes through', { timeout: 20_000 }, async () => {
  const url = await server.createDatabase();
  const { core, errors } = await openReplica(url, { background: false });
  const [first, second] = [await core.createTask(aTask()), await core.createTask(aTask())];
  const session = await openSession(url);
  // The other side notices later: it is ours that is told to give way.
  await session.query("SET deadlock_timeout = '20s'");
  await session.query('BEGIN');
  await session.query('SELECT FROM tasks WHERE task_id = $1 FOR UPDATE', [second.task_id]);
  const cancelled = Promise.all([core.cancelTask(cancelOf(first)), core.cancelTask(cancelOf(second))]);
  await until('ours waits', () => isAnyoneWaiting(url));
  await session.query('SELECT FROM tasks WHERE task_id = $1 FOR UPDATE', [first.task_id]);
  await session.query('COMMIT');
  expect((await cancelled).map(({ status }) => status)).toEqual(['cancelled', 'cancelled']);
  expect(errors).toEqual([]);
  await until('one was counted', async () => (await readStatistic(url, 'deadlocks')) > 0);
});

test('a failed serialization is tried again until it goes through', { timeout: 20_000 }, async () => {
  const database = await server.createDatabase();
  const url = `${database}?options=${encodeURIComponent('-c default_transaction_isolation=repeatable\\ read')}`;
  const { core, errors } = await openReplica(url, { background: false });
  await core.createTask(aTask());
  const held = await take(core);
  const session = await openSession(database);
  await session.query('BEGIN; UPDATE tasks SET priority = priority');
  const beating = core.heartbeat(heartbeatOf(held));
  await until('ours waits', () => isAnyoneWaiting(database));
  await session.query('COMMIT');
  await beating;
  expect(errors).toEqual([]);
  await until('one was counted', async () => {
    // A session reports what it has counted at the end of its next transaction.
    await core.heartbeat(heartbeatOf(held));
    return (await readStatistic(database, 'xact_rollback')) > 0;
  });
});

test(
  'a transaction whose session is ended while it decides is refused, and nothing of it is left',
  { timeout: 20_000 },
  async () => {
    const url = await server.createDatabase();
    const { core } = await openReplica(url, { background: false });
    const run = createTasks.run;
    vi.spyOn(createTasks, 'run').mockImplementationOnce(async (commit, items) => {
      const outcome = await run(commit, items);
      await killBackends(url, 1);
      return outcome;
    });
    await refused('UNAVAILABLE', core.createTask(aTask()));
    expect((await core.listTasks(listOf())).total).toBe(0);
    await core.createTask(aTask());
  },
);

/** As the SDK does: other connections of the pool were killed as well, and the first calls find that out. */
async function sendUntilTaken<T>(send: () => Promise<T>): Promise<T> {
  for (;;) {
    const outcome = await send().catch((error: unknown) => {
      if (error instanceof DomainError && error.code === 'UNAVAILABLE') return null;
      throw error;
    });
    if (outcome !== null) return outcome;
  }
}

test.each([
  ['has happened', true],
  ['has not happened', false],
] as const)(
  'a commit whose answer was lost and that %s is safe to send again',
  { timeout: 20_000 },
  async (_name, hasHappened) => {
    const url = await server.createDatabase();
    const { core } = await openReplica(url, { background: false });
    const { commit } = PostgresConnection.prototype;
    const loseNextAnswer = (): void => {
      vi.spyOn(PostgresConnection.prototype, 'commit').mockImplementationOnce(async function (
        this: PostgresConnection,
      ) {
        if (hasHappened) await commit.call(this);
        else await killBackends(url, 1);
        throw new Error('Connection terminated unexpectedly');
      });
    };
    const sendTwice = async <T>(send: () => Promise<T>): Promise<T> => {
      loseNextAnswer();
      const refusal = await refused('UNAVAILABLE', send());
      expect(refusal.message).toMatch(/may have happened: send the same again/);
      return sendUntilTaken(send);
    };
    const task = await sendTwice(() => core.createTask(aTask({ idempotency_key: 'k' })));
    expect((await core.listTasks(listOf())).total).toBe(1);
    const { tasks } = await sendTwice(() => core.acquireTasks(anAcquire({ acquire_id: 'a' })));
    expect(tasks).toMatchObject([{ task_id: task.task_id, attempt: 1, lease_epoch: 1 }]);
    expect((await sendTwice(() => core.completeTask(completionOf(tasks[0]!)))).status).toBe('completed');
    const { events } = await core.listEvents({ task_id: task.task_id, limit: 10 });
    expect(events.map(({ type }) => type)).toEqual(['created', 'acquired', 'completed']);
  },
);

import pg from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { isConflict, isOutage } from '../../src/db/outage.ts';
import { aTask } from '../builders.ts';
import { startPostgres, withClient, type PostgresServer } from '../postgres-server.ts';
import { openReplica } from './replicas.ts';

// How the errors of the driver and of a real server are judged.

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

async function openSession(settings = ''): Promise<pg.Client> {
  const url = await server.createDatabase();
  const client = new pg.Client({ connectionString: url, options: settings });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

async function failureOf(work: Promise<unknown>): Promise<{ code: unknown; isOutage: boolean; isConflict: boolean }> {
  const error: unknown = await work.then(
    () => expect.fail('did not fail'),
    (reason: unknown) => reason,
  );
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return { code, isOutage: isOutage(error), isConflict: isConflict(error) };
}

const lock = (client: pg.Client, key: number): Promise<unknown> =>
  client.query('SELECT pg_advisory_xact_lock($1)', [key]);

test('a session that an operator ends, in a statement and between two, is an outage', async () => {
  const client = await openSession();
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const sleeping = failureOf(client.query('SELECT pg_sleep(60)'));
  await withClient(server.url, (other) => other.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid]));
  expect(await sleeping).toEqual({ code: '57P01', isOutage: true, isConflict: false });
  expect(await failureOf(client.query('SELECT 1'))).toMatchObject({ isOutage: true, isConflict: false });
});

test('a session that idled too long in its transaction is an outage', async () => {
  const client = await openSession('-c idle_in_transaction_session_timeout=50');
  const errors: unknown[] = [];
  const ended = new Promise<void>((resolve) => client.once('end', resolve));
  client.on('error', (error) => errors.push(error));
  await client.query('BEGIN');
  await ended;
  expect(errors.map((error) => isOutage(error))).not.toContain(false);
  expect(errors[0]).toMatchObject({ code: '25P03' });
  expect(await failureOf(client.query('COMMIT'))).toMatchObject({ isOutage: true });
});

test('a server that nobody answers for, that is full, or that takes too long is an outage', async () => {
  expect(await failureOf(withClient('postgres://postgres@127.0.0.1:1/x', async () => undefined))).toEqual({
    code: 'ECONNREFUSED',
    isOutage: true,
    isConflict: false,
  });
  const url = await server.createDatabase();
  const name = new URL(url).pathname.slice(1);
  await withClient(server.url, async (client) => {
    await client.query('CREATE ROLE plain LOGIN');
    await client.query(`ALTER DATABASE ${name} CONNECTION LIMIT 0`);
  });
  expect(await failureOf(withClient(url.replace('postgres@', 'plain@'), async () => undefined))).toEqual({
    code: '53300',
    isOutage: true,
    isConflict: false,
  });
  const slow = await openSession('-c statement_timeout=20');
  expect(await failureOf(slow.query('SELECT pg_sleep(5)'))).toEqual({
    code: '57014',
    isOutage: true,
    isConflict: false,
  });
  const silent = new pg.Client({ connectionString: url.replace(name, 'postgres'), query_timeout: 20 });
  silent.on('error', () => undefined);
  await silent.connect();
  expect(await failureOf(silent.query('SELECT pg_sleep(1)'))).toMatchObject({ isOutage: true, isConflict: false });
  await silent.end();
});

test('a standby that takes no writes is an outage', async () => {
  const client = await openSession('-c default_transaction_read_only=on');
  expect(await failureOf(client.query('CREATE TABLE t ()'))).toEqual({
    code: '25006',
    isOutage: true,
    isConflict: false,
  });
});

test('a deadlock is a conflict, and so is a failed serialization', async () => {
  const [a, b] = [await openSession('-c deadlock_timeout=50ms'), await openSession()];
  const database = (await a.query<{ name: string }>('SELECT current_database() AS name')).rows[0]!.name;
  const other = new pg.Client({ connectionString: `${server.url}/${database}`, options: '-c deadlock_timeout=20s' });
  other.on('error', () => undefined);
  await other.connect();
  await a.query('BEGIN');
  await other.query('BEGIN');
  await lock(a, 1);
  await lock(other, 2);
  const waiting = lock(other, 1);
  expect(await failureOf(lock(a, 2))).toEqual({ code: '40P01', isOutage: false, isConflict: true });
  await a.query('ROLLBACK');
  await waiting;
  await other.end();

  await b.query('CREATE TABLE t (value int)');
  await b.query('INSERT INTO t VALUES (1)');
  await b.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await b.query('SELECT * FROM t');
  const name = (await b.query<{ name: string }>('SELECT current_database() AS name')).rows[0]!.name;
  await withClient(`${server.url}/${name}`, (client) => client.query('UPDATE t SET value = 2'));
  expect(await failureOf(b.query('UPDATE t SET value = 3'))).toEqual({
    code: '40001',
    isOutage: false,
    isConflict: true,
  });
});

test('of what must be unique only an idempotency key is a conflict; a wrong statement is a bug', async () => {
  const url = await server.createDatabase();
  const { core } = await openReplica(url, { background: false });
  await core.createTask(aTask({ idempotency_key: 'k' }));
  const copyOf = (
    columns: string,
  ): string => `INSERT INTO tasks (task_id, work_directory, status, priority, attempt, max_attempts, timeout_seconds, exclusive,
      on_dependency_failure, run_at, lease_epoch, cancel_requested, log_bytes, created_at, updated_at, prompt, idempotency_key)
    SELECT ${columns} FROM (SELECT task_id AS id, work_directory, 'waiting', 1, 0, 1, 1, 0, 'cancel', 0::bigint, 0, 0, 0, 0::bigint, 0::bigint, prompt, idempotency_key FROM tasks) AS given`;
  await withClient(url, async (client) => {
    expect(await failureOf(client.query(copyOf('*')))).toEqual({ code: '23505', isOutage: false, isConflict: false });
    const sameKey = copyOf('*').replace('SELECT task_id AS id', "SELECT 'other'");
    expect(await failureOf(client.query(sameKey))).toEqual({ code: '23505', isOutage: false, isConflict: true });
    expect(await failureOf(client.query('SELECT nothing FROM tasks'))).toEqual({
      code: '42703',
      isOutage: false,
      isConflict: false,
    });
  });
});

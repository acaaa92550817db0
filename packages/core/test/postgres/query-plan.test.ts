import { CompiledQuery, Kysely } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { StatementCache, type Statement } from '../../src/db/engine.ts';
import { postgresDialect } from '../../src/db/postgres/postgres-connection.ts';
import { clientConfig, SETTINGS } from '../../src/db/postgres/postgres-pool.ts';
import { POSTGRES } from '../../src/db/postgres/postgres.ts';
import { RowWriter } from '../../src/db/postgres/row-writer.ts';
import type { Database } from '../../src/db/schema.ts';
import { headsOfTurn, taggedHeadsOfTurn } from '../../src/repository/acquire-heads.ts';
import { countWorking, tasksByAcquireId } from '../../src/repository/acquire.ts';
import { dependencyStates } from '../../src/repository/dependants.ts';
import { expiredLeases } from '../../src/repository/expire-leases.ts';
import {
  anyWaitingExclusive,
  countWorkingBelow,
  countWorkingIn,
  exclusiveHeads,
  workingExclusive,
} from '../../src/repository/path-guard.ts';
import { dueTasks, nextDue } from '../../src/repository/promote-due.ts';
import { removableTasks } from '../../src/repository/remove-finished.ts';
import { openCore } from '@task-orchestrator/core';
import { POLICY } from '../engines.ts';
import { withClient } from '../postgres-server.ts';

const TASKS = 20_000;
const statements = new StatementCache(
  new Kysely<Database>({ dialect: postgresDialect(noConnection, () => undefined) }),
  POSTGRES,
);

function noConnection(): never {
  throw new Error('statements are compiled here, not run');
}

let client: pg.Client;

beforeAll(async () => {
  const server = inject('postgresUrl');
  const name = `plans_${process.pid}_${Date.now()}`;
  await withClient(server, (session) => session.query(`CREATE DATABASE ${name}`));
  const url = `${server}/${name}`;
  const database = {
    engine: 'postgres',
    url,
    durability: 'full',
    maxConnections: 2,
    minConnections: 0,
    connectionTimeoutSeconds: 5,
    idleTimeoutSeconds: 5,
  } as const;
  await (await openCore({ database, task: POLICY, background: false })).close();
  client = new pg.Client(clientConfig(url, { name: 'plans', settings: SETTINGS }));
  await client.connect();
  await client.query(`
    INSERT INTO tasks (task_id, work_directory, status, priority, attempt, max_attempts, timeout_seconds, exclusive,
      on_dependency_failure, run_at, acquire_id, lease_epoch, lease_expires_at, cancel_requested, log_bytes, created_at,
      updated_at, finished_at, tags, prompt)
    SELECT 'task-' || i, '/p/' || i % 300, status, i % 3, 1, 4, 3600, (i % 11 = 0)::int, 'cancel', i,
      CASE WHEN status = 'working' THEN 'a' || i END, 1, CASE WHEN status = 'working' THEN i END, 0, 0, 0, 0,
      CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN i END, '["x"]', 'prompt'
    FROM generate_series(1, ${TASKS}) AS i,
      LATERAL (SELECT (ARRAY['blocked', 'scheduled', 'waiting', 'working', 'completed', 'failed', 'cancelled'])[1 + i % 7] AS status) AS s;
    INSERT INTO task_dependencies SELECT i, i - 1 FROM generate_series(2, ${TASKS}) AS i;
    ANALYZE`);
});

afterAll(async () => {
  await client.end();
});

async function explain(query: Pick<CompiledQuery, 'sql' | 'parameters'>): Promise<string> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN ${query.sql}`, [...query.parameters]);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

function planOf<Args extends readonly unknown[], Row>(
  statement: Statement<Args, Row>,
  ...args: Args
): () => Promise<string> {
  return () => explain(statements.bind(statement, args));
}

/** Tasks at work are few: any index of them will do. */
const AT_WORK = /tasks_(working|working_exclusive|lease) /;

test.each<[name: string, index: string | RegExp, plan: () => Promise<string>]>([
  ['the next tasks of a path', 'tasks_waiting', planOf(headsOfTurn, '/p/2', 1, 0, 0, 10)],
  ['the next tasks with tags', 'tasks_waiting', planOf(taggedHeadsOfTurn, '/p/2', 1, 0, 0, 10, '["x"]')],
  ['the answer to an earlier call', 'tasks_acquire_id', planOf(tasksByAcquireId, '["a1","a2"]')],
  ['the number of tasks at work', AT_WORK, planOf(countWorking)],
  ['whether an exclusive task waits', 'tasks_waiting_exclusive', planOf(anyWaitingExclusive)],
  ['exclusive tasks at work', AT_WORK, planOf(workingExclusive)],
  ['tasks at work in directories', AT_WORK, planOf(countWorkingIn, '["/p/1","/p"]')],
  ['tasks at work below one', AT_WORK, planOf(countWorkingBelow, '/p/1/', '/p/10')],
  ['the first exclusive tasks in line', 'tasks_waiting_exclusive', planOf(exclusiveHeads, '["/p/1","/p"]')],
  ['leases that have run out', 'tasks_lease', planOf(expiredLeases, 500, 10)],
  ['tasks that are due', 'tasks_scheduled', planOf(dueTasks, 500, 10)],
  ['the next one that is', 'tasks_scheduled', planOf(nextDue)],
  ['what tasks depend on', 'task_dependencies_task', planOf(dependencyStates, '[5,6]')],
  ['old tasks', 'tasks_finished', planOf(removableTasks, 500, 1000, 10)],
])('an index serves to find %s', async (_name, index, plan) => {
  const text = await plan();
  expect(text).toMatch(index);
  expect(text).not.toMatch(/Seq Scan on (tasks|events|task_dependencies)/);
});

test('many rows are changed by their key', async () => {
  const writer = new RowWriter();
  await writer.prepare({ all: async (query) => (await client.query(query.sql)).rows });
  const [update] = writer.updateTasks(
    Array.from({ length: 64 }, (_, index) => ({ seq: index + 1, status: 'waiting' as const })),
  );
  expect(await explain(update!)).not.toContain('Seq Scan on tasks');
});

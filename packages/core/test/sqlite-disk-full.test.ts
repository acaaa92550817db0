import { expect, test, vi } from 'vitest';
import { SqliteConnection } from '../src/db/sqlite/kysely-dialect.ts';
import { aTask, completionOf, heartbeatOf, listOf, logOf, refused, take } from './builders.ts';
import { ALL_ENGINES } from './engines.ts';

test('a database file that cannot grow refuses what does not fit, keeps what it has and goes on when there is room', async () => {
  const findDatabase = watchForDatabase();
  const { core } = await ALL_ENGINES['SQLite file'].open();
  await core.createTask(aTask());
  const task = await take(core);
  const database = findDatabase();
  const limit = database.pragma('max_page_count', { simple: true });
  database.pragma(`max_page_count = ${String(database.pragma('page_count', { simple: true }))}`);

  const prompt = 'x'.repeat(200_000);
  await refused('UNAVAILABLE', core.createTask(aTask({ prompt })));
  await refused('UNAVAILABLE', core.appendLog(logOf(task, 'x'.repeat(60_000))));
  await refused('UNAVAILABLE', core.completeTask(completionOf(task, { result: { output: prompt } })));
  expect((await core.listTasks(listOf())).tasks).toMatchObject([{ status: 'working', result: null }]);
  expect((await core.getStatistics()).tasks).toMatchObject({ working: 1, waiting: 0 });

  database.pragma(`max_page_count = ${String(limit)}`);
  await core.completeTask(completionOf(task, { result: { output: prompt } }));
  await core.createTask(aTask({ prompt }));
  expect((await core.listTasks(listOf())).total).toBe(2);
});

test('a lease that ran out while nothing could be written can still be renewed afterwards, and is lost if it is not', async () => {
  const findDatabase = watchForDatabase();
  const told: string[] = [];
  const observer = {
    onOutage: (problem: string) => void told.push(problem),
    onRecovery: () => void told.push('recovery'),
    onError: (error: unknown, doing: string) => void told.push(`${doing}: ${String(error)}`),
  };
  const { core } = await ALL_ENGINES['SQLite file'].open({ background: true, observer });
  await core.createTask(aTask());
  await core.createTask(aTask());
  const [alive, dead] = [await take(core, { lease_seconds: 1 }), await take(core, { lease_seconds: 1 })];
  const database = findDatabase();

  database.pragma('query_only = ON');
  await refused('UNAVAILABLE', core.heartbeat(heartbeatOf(alive)));
  expect(core.writeProblem()).toBe('the database is read-only (SQLITE_READONLY)');
  await vi.waitUntil(() => Date.now() > Date.parse(dead.lease_expires_at!) + 1000, { timeout: 5000 });
  await expect(core.getStatistics()).resolves.toMatchObject({ tasks: { working: 2 } });
  database.pragma('query_only = OFF');

  await vi.waitUntil(() => core.writeProblem() === null, { timeout: 5000 });
  await core.heartbeat(heartbeatOf(alive, { lease_seconds: 60 }));
  const statusOf = async ({ task_id }: { task_id: string }) => (await core.getTask({ task_id })).status;
  await vi.waitUntil(async () => (await statusOf(dead)) === 'waiting', { timeout: 8000, interval: 100 });
  expect(await statusOf(alive)).toBe('working');
  expect(told).toEqual(['the database is read-only (SQLITE_READONLY)', 'recovery']);
}, 20_000);

test('uses of keys while nothing could be written are written down afterwards, and keys are listed meanwhile', async () => {
  const findDatabase = watchForDatabase();
  const { core, clock } = await ALL_ENGINES['SQLite file'].open();
  await core.keys.insert({ name: 'a key', roles: ['viewer'], path_prefixes: [], hash: 'hash' });
  const database = findDatabase();
  const lastUse = async () => (await core.keys.list({ limit: 1 })).keys[0]?.last_used_at;

  database.pragma('query_only = ON');
  await core.keys.findByHash('hash');
  expect(await lastUse()).toBeNull();
  database.pragma('query_only = OFF');

  clock.advance(5);
  expect(await lastUse()).toBe(clock.in(-5));
});

/** Answers the connection that has committed since. */
function watchForDatabase() {
  const prepare = vi.spyOn(SqliteConnection.prototype, 'prepare');
  return () => {
    const commit = prepare.mock.calls.findIndex(([sql]) => sql === 'COMMIT');
    const { database } = prepare.mock.contexts[commit] as SqliteConnection;
    prepare.mockRestore();
    return database;
  };
}

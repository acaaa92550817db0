import { expect, test, vi } from 'vitest';
import { SqliteConnection } from '../src/db/sqlite/kysely-dialect.ts';
import { aTask, completionOf, listOf, logOf, refused, take } from './builders.ts';
import { ALL_ENGINES } from './engines.ts';

test('a database file that cannot grow refuses what does not fit, keeps what it has and goes on when there is room', async () => {
  const prepare = vi.spyOn(SqliteConnection.prototype, 'prepare');
  const { core } = await ALL_ENGINES['SQLite file'].open();
  await core.createTask(aTask());
  const task = await take(core);
  const commit = prepare.mock.calls.findIndex(([sql]) => sql === 'COMMIT');
  const { database } = prepare.mock.contexts[commit] as SqliteConnection;
  prepare.mockRestore();
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

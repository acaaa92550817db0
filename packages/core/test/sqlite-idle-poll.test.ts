import { expect, test } from 'vitest';
import { aTask, anAcquire, take } from './builders.ts';
import { ALL_ENGINES, type OpenedCore } from './engines.ts';

async function openCounting(): Promise<OpenedCore & { commits: number[] }> {
  const commits: number[] = [];
  const opened = await ALL_ENGINES['SQLite file'].open({
    observer: { onCommit: ({ calls }) => void commits.push(calls) },
  });
  return { ...opened, commits };
}

test('a poll that finds nothing costs no commit, whether it names itself or not', async () => {
  const { core, commits } = await openCounting();
  for (const acquire_id of [undefined, 'a'])
    expect(await core.acquireTasks(anAcquire({ acquire_id }))).toMatchObject({ tasks: [], reason: 'empty' });
  expect(commits).toEqual([]);
});

test('the answer to an earlier call is given again, though nothing else waits', async () => {
  const { core, commits } = await openCounting();
  await core.createTask(aTask());
  const task = await take(core, { acquire_id: 'a' });
  // Now it is known that the path is empty.
  await core.acquireTasks(anAcquire({ acquire_id: 'b' }));
  commits.length = 0;
  await core.acquireTasks(anAcquire({ acquire_id: 'c' }));
  expect(commits).toEqual([]);
  expect(await take(core, { acquire_id: 'a' })).toEqual(task);
});

test('a call that is repeated while the first is about to get a task gets the same', async () => {
  const { core } = await openCounting();
  const first = core.acquireTasks(anAcquire({ acquire_id: 'a', wait_seconds: 5 }));
  // It waits, as it does once nothing more is to be done in this turn.
  await new Promise(setImmediate);
  const created = core.createTask(aTask());
  const again = core.acquireTasks(anAcquire({ acquire_id: 'a' }));
  const { task_id } = await created;
  expect((await again).tasks).toMatchObject([{ task_id }]);
  expect((await first).tasks).toEqual((await again).tasks);
});

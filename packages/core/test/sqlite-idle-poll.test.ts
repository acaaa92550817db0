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

test('a call that is repeated while the first is under way gets its answer', async () => {
  const { core } = await openCounting();
  await core.createTask(aTask());
  const [first, again] = await Promise.all([take(core, { acquire_id: 'a' }), take(core, { acquire_id: 'a' })]);
  expect(again).toEqual(first);
});

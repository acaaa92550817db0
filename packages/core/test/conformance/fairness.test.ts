import { expect, test, vi } from 'vitest';
import { StatementCache } from '../../src/db/engine.ts';
import { aBatchTask, aSetting, aTask, anAcquire, cancelOf, completionOf, take, takeAll } from '../builders.ts';
import { forEachEngine, type OpenedCore } from '../engines.ts';

const ANY = { work_path: undefined };

/** Many tasks with few commits. */
async function flood({ core }: OpenedCore, count: number, pathOf: (index: number) => string): Promise<void> {
  for (let start = 0; start < count; start += 1000) {
    const tasks = Array.from({ length: Math.min(1000, count - start) }, (_, index) =>
      aBatchTask({ work_directory: pathOf(start + index) }),
    );
    await core.createTasks({ tasks });
  }
}

forEachEngine((engine) => {
  test(
    '100,000 tasks on one path delay a single task of another path by a few acquisitions at most',
    { timeout: 60_000 },
    async () => {
      const opened = await engine.open();
      const { core } = opened;
      await flood(opened, 100_000, () => '/flood');
      await takeAll(core, ANY, 5);
      const single = await core.createTask(aTask({ work_directory: '/single' }));
      const next = await takeAll(core, ANY, 3);
      expect(next.map(({ task_id }) => task_id)).toContain(single.task_id);
    },
  );

  test('paths take turns, one by one and in one call', async () => {
    const opened = await engine.open();
    const { core } = opened;
    await flood(opened, 60, (index) => (index < 40 ? '/a' : index < 50 ? '/b' : '/c'));
    const singles = await takeAll(core, ANY, 12);
    expect(countPaths(singles)).toEqual({ '/a': 4, '/b': 4, '/c': 4 });
    const { tasks } = await core.acquireTasks(anAcquire({ ...ANY, limit: 12 }));
    expect(countPaths(tasks)).toEqual({ '/a': 4, '/b': 4, '/c': 4 });
  });

  test('a path that has no more leaves its turns to the others at once', async () => {
    const opened = await engine.open();
    await flood(opened, 22, (index) => (index < 20 ? '/a' : '/b'));
    const { tasks } = await opened.core.acquireTasks(anAcquire({ ...ANY, limit: 20 }));
    expect(countPaths(tasks)).toEqual({ '/a': 18, '/b': 2 });
  });

  test('a stream of new paths does not starve an old one', async () => {
    const opened = await engine.open();
    const { core } = opened;
    await flood(opened, 5, () => '/old');
    await take(core, ANY);
    let turnsOfOld = 0;
    for (let index = 0; index < 20; index++) {
      await core.createTask(aTask({ work_directory: `/new/${index}` }));
      if ((await take(core, ANY)).work_directory === '/old') turnsOfOld++;
    }
    expect(turnsOfOld).toBe(4);
  });

  test.for([
    [3, 30, 10],
    [0.5, 10, 20],
    [1.5, 24, 16],
  ] as const)('a path of weight %s takes its share one by one', async ([weight, heavy, light]) => {
    const opened = await engine.open();
    const { core } = opened;
    await core.setPath(aSetting('/heavy', { weight }));
    await flood(opened, 100, (index) => (index < 50 ? '/heavy' : '/light'));
    expect(countPaths(await takeAll(core, ANY, heavy + light))).toEqual({ '/heavy': heavy, '/light': light });
  });

  test('a path of weight 3 takes its share in one call', async () => {
    const opened = await engine.open();
    await opened.core.setPath(aSetting('/heavy', { weight: 3 }));
    await flood(opened, 100, (index) => (index < 50 ? '/heavy' : '/light'));
    const { tasks } = await opened.core.acquireTasks(anAcquire({ ...ANY, limit: 40 }));
    expect(countPaths(tasks)).toEqual({ '/heavy': 30, '/light': 10 });
  });

  test('an acquisition among 10,000 paths takes as many statements as among ten', { timeout: 30_000 }, async () => {
    const few = await engine.open();
    await flood(few, 100, (index) => `/few/${index % 10}`);
    const expected = await countStatements(() => take(few.core, ANY));
    await few.close();
    const many = await engine.open();
    await flood(many, 10_000, (index) => `/many/${index}`);
    expect(await countStatements(() => take(many.core, ANY))).toBe(expected);
    expect(await countStatements(() => take(many.core, { work_path: '/many', subtree: true }))).toBe(expected);
    expect(await countStatements(() => take(many.core, { work_path: '/many/9999' }))).toBe(expected);
  });

  test('paths whose tasks are gone are looked up once and then forgotten', async () => {
    const { core } = await engine.open();
    const paths = Array.from({ length: 30 }, (_, index) => `/gone/${index}`);
    const tasks = await Promise.all(paths.map((work_directory) => core.createTask(aTask({ work_directory }))));
    await Promise.all(tasks.map((task) => core.cancelTask(cancelOf(task))));
    expect((await core.acquireTasks(anAcquire(ANY))).tasks).toEqual([]);
    expect(await countStatements(() => core.acquireTasks(anAcquire(ANY)))).toBe(0);
  });

  test('a path comes back for a task that is created, released, promoted or lost after it was forgotten', async () => {
    const { core, clock } = await engine.open();
    const forget = async (): Promise<void> => {
      expect((await core.acquireTasks(anAcquire({ limit: 5 }))).tasks).toEqual([]);
    };
    await core.createTask(aTask({ run_at: clock.in(5) }));
    await forget();
    clock.advance(5);
    await core.tick();
    const first = await take(core);
    await forget();
    await core.releaseTask({ task_id: first.task_id, lease_token: first.lease_token });
    await take(core);
    await forget();
    clock.advance(31);
    await core.tick();
    const third = await take(core);
    await core.completeTask(completionOf(third));
    await forget();
    await core.createTask(aTask());
    await take(core);
  });
});

function countPaths(tasks: readonly { work_directory: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { work_directory } of tasks) counts[work_directory] = (counts[work_directory] ?? 0) + 1;
  return counts;
}

async function countStatements(work: () => Promise<unknown>): Promise<number> {
  const bind = vi.spyOn(StatementCache.prototype, 'bind');
  try {
    await work();
    return bind.mock.calls.length;
  } finally {
    bind.mockRestore();
  }
}

import { expect, test } from 'vitest';
import { aTask, listOf, prompts, refused, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a list comes newest first, in pages that neither repeat nor skip while tasks come in', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 7; index++) await core.createTask(aTask({ prompt: String(index) }));
    const first = await core.listTasks(listOf({ limit: 3 }));
    expect(prompts(first.tasks)).toEqual(['6', '5', '4']);
    expect(first.total).toBe(7);
    await core.createTask(aTask({ prompt: 'new' }));
    const second = await core.listTasks(listOf({ limit: 3, cursor: first.next_cursor! }));
    expect(prompts(second.tasks)).toEqual(['3', '2', '1']);
    expect(second.total).toBeUndefined();
    const third = await core.listTasks(listOf({ limit: 3, cursor: second.next_cursor! }));
    expect(prompts(third.tasks)).toEqual(['0']);
    expect(third.next_cursor).toBeNull();
    expect(prompts((await core.listTasks(listOf({ limit: 2, offset: 1 }))).tasks)).toEqual(['6', '5']);
  });

  test('a full last page has no cursor to an empty one', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 2; index++) await core.createTask(aTask());
    expect((await core.listTasks(listOf({ limit: 2 }))).next_cursor).toBeNull();
  });

  test('every condition of a filter counts', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ prompt: 'a', work_directory: '/r', priority: 'low', tags: ['x', 'y'] }));
    await core.createTask(aTask({ prompt: 'b', work_directory: '/r/sub', tags: ['y'] }));
    await core.createTask(aTask({ prompt: 'c', work_directory: '/r-other' }));
    await core.createTask(aTask({ prompt: 'd', work_directory: '/' }));
    await core.createTask(aTask({ prompt: 'e', work_directory: 'c:\\r\\s' }));
    await take(core, { work_path: '/r/sub', worker_id: 'w1' });
    const found = async (filter: Parameters<typeof listOf>[0]): Promise<string> => {
      const { tasks, total } = await core.listTasks(listOf(filter));
      expect(total).toBe(tasks.length);
      return prompts(tasks).toSorted().join('');
    };
    expect(await found({ work_directory: '/r' })).toBe('a');
    expect(await found({ work_directory: '/r', subtree: true })).toBe('ab');
    expect(await found({ work_directory: '/', subtree: true })).toBe('abcd');
    expect(await found({ work_directory: 'C:/', subtree: true })).toBe('e');
    expect(await found({ tag: 'y' })).toBe('ab');
    expect(await found({ tag: 'x' })).toBe('a');
    expect(await found({ priority: 'low' })).toBe('a');
    expect(await found({ worker_id: 'w1' })).toBe('b');
    expect(await found({ status: 'working' })).toBe('b');
    expect(await found({ status: ['working', 'waiting'], work_directory: '/r', subtree: true, tag: 'y' })).toBe('ab');
    expect(await found({ status: 'failed' })).toBe('');
  });

  test('a cursor that nobody gave out is refused', async () => {
    const { core } = await engine.open();
    await refused('VALIDATION_ERROR', core.listTasks(listOf({ cursor: 'x' })));
    await refused('VALIDATION_ERROR', core.listTasks(listOf({ cursor: '-1' })));
    await refused('VALIDATION_ERROR', core.listTasks(listOf({ cursor: '9999999999999999' })));
  });
});

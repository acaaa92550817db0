import { expect, test } from 'vitest';
import { aSetting, aTask, anAcquire, completionOf, prompts, take, takeAll } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

const ANY = { work_path: undefined };

forEachEngine((engine) => {
  test('a paused path hands out nothing, itself and below, until it goes on', async () => {
    const { core } = await engine.open();
    for (const path of ['/r', '/r/a', '/s']) await core.createTask(aTask({ work_directory: path, prompt: path }));
    await core.setPath(aSetting('/r', { paused: true }));
    expect(await core.acquireTasks(anAcquire({ work_path: '/r/a' }))).toMatchObject({ tasks: [], reason: 'paused' });
    expect(prompts(await takeAll(core, ANY))).toEqual(['/s']);
    await core.setPath(aSetting('/r', { paused: false }));
    expect(prompts(await takeAll(core, ANY)).toSorted()).toEqual(['/r', '/r/a']);
  });

  test('a pause leaves what is at work alone', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await core.setPath(aSetting('/repo', { paused: true }));
    await core.completeTask(completionOf(task));
  });

  test('a limit holds over the path, what is below and what is above, in one call and over calls', async () => {
    const { core } = await engine.open();
    await core.setPath(aSetting('/r/a', { max_concurrent: 2 }));
    for (const path of ['/r', '/r/a', '/r/a', '/r/a/b', '/r/a/c', '/r/x', '/r/x'])
      await core.createTask(aTask({ work_directory: path, prompt: path }));
    const { tasks } = await core.acquireTasks(anAcquire({ ...ANY, limit: 10 }));
    const inside = tasks.filter(({ work_directory }) => work_directory !== '/r/x');
    expect(inside).toHaveLength(2);
    expect(tasks).toHaveLength(4);
    expect(await core.acquireTasks(anAcquire({ work_path: '/r/a' }))).toMatchObject({ tasks: [], reason: 'path_busy' });
    await core.completeTask(completionOf(inside[0]!));
    expect(await takeAll(core, ANY)).toHaveLength(1);
  });

  test('a limit of an outer path counts for an inner one', async () => {
    const { core } = await engine.open();
    await core.setPath(aSetting('/', { max_concurrent: 1 }));
    for (const path of ['/a', '/b/c']) await core.createTask(aTask({ work_directory: path }));
    expect((await core.acquireTasks(anAcquire({ ...ANY, limit: 5 }))).tasks).toHaveLength(1);
  });

  test('a limit that is raised, or lifted, lets more in', async () => {
    const { core } = await engine.open();
    await core.setPath(aSetting('/repo', { max_concurrent: 1 }));
    for (let index = 0; index < 5; index++) await core.createTask(aTask());
    expect(await takeAll(core)).toHaveLength(1);
    await core.setPath(aSetting('/repo', { max_concurrent: 2 }));
    expect(await takeAll(core)).toHaveLength(1);
    await core.setPath(aSetting('/repo', { max_concurrent: null }));
    expect(await takeAll(core)).toHaveLength(2 + 1);
  });

  test('a change of one setting leaves the others', async () => {
    const { core } = await engine.open();
    await core.setPath(aSetting('/repo', { max_concurrent: 3, weight: 2.5 }));
    await core.createTask(aTask());
    await core.createTask(aTask());
    await take(core);
    expect(await core.setPath(aSetting('/repo', { paused: true }))).toEqual({
      path: '/repo',
      paused: true,
      max_concurrent: 3,
      weight: 2.5,
      waiting: 1,
      working: 1,
    });
    const settings = await Promise.all([
      core.setPath(aSetting('/x', { paused: true })),
      core.setPath(aSetting('/x', { weight: 3 })),
    ]);
    expect(settings[1]).toMatchObject({ paused: true, weight: 3 });
  });

  test('the list of paths has those with settings and those with open tasks, in pages', async () => {
    const { core, clock } = await engine.open();
    await core.setPath(aSetting('/b', { weight: 2 }));
    for (const path of ['/a', '/a', '/c', '/d']) await core.createTask(aTask({ work_directory: path }));
    await core.createTask(aTask({ work_directory: '/later', run_at: clock.in(60) }));
    await core.completeTask(completionOf(await take(core, { work_path: '/d' })));
    await take(core, { work_path: '/a' });
    const first = await core.listPaths({ limit: 2 });
    expect(first.paths.map(({ path, waiting, working, weight }) => [path, waiting, working, weight])).toEqual([
      ['/a', 1, 1, 1],
      ['/b', 0, 0, 2],
    ]);
    const second = await core.listPaths({ limit: 2, cursor: first.next_cursor! });
    expect(second.paths.map(({ path }) => path)).toEqual(['/c']);
    expect(second.next_cursor).toBeNull();
  });
});

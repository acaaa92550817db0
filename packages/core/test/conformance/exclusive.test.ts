import { expect, test } from 'vitest';
import { aTask, anAcquire, cancelOf, completionOf, prompts, releaseOf, take, takeAll } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

const ANY = { work_path: undefined };
const HOUR = 3600;

forEachEngine((engine) => {
  test('while an exclusive task runs nobody enters its directory, its parents or its children', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ work_directory: '/r/a', prompt: 'alone', exclusive: true }));
    const alone = await take(core, { work_path: '/r/a' });
    for (const path of ['/', '/r', '/r/a', '/r/a/b', '/r/ab', '/r/b'])
      await core.createTask(aTask({ work_directory: path, prompt: path }));
    for (const work_path of ['/', '/r', '/r/a', '/r/a/b'])
      expect(await core.acquireTasks(anAcquire({ work_path })), work_path).toMatchObject({
        tasks: [],
        reason: 'path_busy',
      });
    expect(prompts(await takeAll(core, ANY)).toSorted()).toEqual(['/r/ab', '/r/b']);
    await core.completeTask(completionOf(alone));
    expect(prompts(await takeAll(core, ANY)).toSorted()).toEqual(['/', '/r', '/r/a', '/r/a/b']);
  });

  test.for(['/', '/r', '/r/a', '/r/a/b'])(
    'an exclusive task waits until nobody is left in its tree: %s',
    async (path) => {
      const { core } = await engine.open();
      await core.createTask(aTask({ work_directory: path }));
      const other = await take(core, { work_path: path });
      await core.createTask(aTask({ work_directory: '/r/a', exclusive: true }));
      expect(await core.acquireTasks(anAcquire({ work_path: '/r/a' }))).toMatchObject({
        tasks: [],
        reason: 'path_busy',
      });
      await core.releaseTask(releaseOf(other));
      // The other one is first in line, so it is taken again before.
      await core.completeTask(completionOf(await take(core, { work_path: path })));
      await take(core, { work_path: '/r/a' });
    },
  );

  test('one call that could take many takes no two that exclude each other', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ work_directory: '/r', prompt: '1', exclusive: true }));
    await core.createTask(aTask({ work_directory: '/r', prompt: '2', exclusive: true }));
    await core.createTask(aTask({ work_directory: '/r/a', prompt: '3' }));
    await core.createTask(aTask({ work_directory: '/s', prompt: '4' }));
    await core.createTask(aTask({ work_directory: '/s/a', prompt: '5', exclusive: true }));
    const { tasks } = await core.acquireTasks(anAcquire({ ...ANY, limit: 10 }));
    expect(prompts(tasks)).toHaveLength(2);
    expect(prompts(tasks)).toContain('1');
  });

  test('callers of one commit take no two that exclude each other', async () => {
    const { core } = await engine.open();
    for (const work_directory of ['/r', '/r/a', '/r/a/b'])
      await core.createTask(aTask({ work_directory, exclusive: true }));
    const answers = await Promise.all(
      ['/r/a/b', '/r/a', '/r'].map((work_path) => core.acquireTasks(anAcquire({ work_path }))),
    );
    expect(answers.flatMap(({ tasks }) => tasks)).toHaveLength(1);
  });

  test('an exclusive task in line holds back those that came after it, and not those before', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ work_directory: '/r/a', prompt: 'running' }));
    const running = await take(core, ANY);
    await core.createTask(aTask({ work_directory: '/r/b', prompt: 'before' }));
    await core.createTask(aTask({ work_directory: '/r', prompt: 'alone', exclusive: true }));
    await core.createTask(aTask({ work_directory: '/r/b', prompt: 'after' }));
    await core.createTask(aTask({ work_directory: '/r/c', prompt: 'urgent', priority: 'high' }));
    await core.createTask(aTask({ work_directory: '/elsewhere', prompt: 'elsewhere' }));
    const held = await takeAll(core, ANY);
    expect(prompts(held).toSorted()).toEqual(['before', 'elsewhere', 'urgent']);
    for (const task of [running, ...held]) await core.completeTask(completionOf(task));
    const alone = await takeAll(core, ANY);
    expect(prompts(alone)).toEqual(['alone']);
    await core.completeTask(completionOf(alone[0]!));
    expect(prompts(await takeAll(core, ANY))).toEqual(['after']);
  });

  test('an exclusive task in line that is cancelled holds nobody back', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ work_directory: '/r/a' }));
    await take(core, ANY);
    const alone = await core.createTask(aTask({ work_directory: '/r', exclusive: true }));
    await core.createTask(aTask({ work_directory: '/r/b', prompt: 'after' }));
    expect(await takeAll(core, ANY)).toEqual([]);
    await core.cancelTask(cancelOf(alone));
    expect(prompts(await takeAll(core, ANY))).toEqual(['after']);
  });

  test('the end of a lease opens the tree, a heartbeat does not', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ exclusive: true, prompt: 'alone' }));
    const alone = await take(core);
    await core.createTask(aTask({ work_directory: '/repo/sub', prompt: 'sub', priority: 'high' }));
    clock.advance(20);
    await core.heartbeat({ task_id: alone.task_id, lease_token: alone.lease_token });
    clock.advance(20);
    await core.tick();
    expect(await takeAll(core, ANY)).toEqual([]);
    clock.advance(20);
    await core.tick();
    expect(prompts(await takeAll(core, ANY))).toEqual(['sub']);
  });

  test('on one path nothing overtakes an exclusive task that has to wait', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ prompt: 'running' }));
    const running = await take(core);
    await core.createTask(aTask({ prompt: 'alone', exclusive: true }));
    await core.createTask(aTask({ prompt: 'low', priority: 'low' }));
    expect(await takeAll(core)).toEqual([]);
    await core.completeTask(completionOf(running));
    expect(prompts(await takeAll(core))).toEqual(['alone']);
  });

  test('an exclusive task that has grown old is taken however much is above and below it', async () => {
    const { core, clock } = await engine.open({ task: { priorityAgeingSeconds: HOUR } });
    await core.createTask(aTask({ prompt: 'oldest', priority: 'low' }));
    clock.advance(1);
    await core.createTask(aTask({ prompt: 'alone', priority: 'medium', exclusive: true }));
    clock.advance(HOUR);
    for (let index = 0; index < 3; index++) await core.createTask(aTask({ prompt: 'high', priority: 'high' }));
    const order: string[] = [];
    for (let index = 0; index < 5; index++) {
      const task = await take(core);
      order.push(task.prompt);
      await core.completeTask(completionOf(task));
    }
    expect(order.toSorted()).toEqual(['alone', 'high', 'high', 'high', 'oldest']);
    expect(order.slice(0, 4)).toContain('alone');
  });

  test('old tasks of a path go on although an exclusive one that came later waits to be alone', async () => {
    const { core, clock } = await engine.open({ task: { priorityAgeingSeconds: HOUR } });
    for (const prompt of ['old', 'old too']) await core.createTask(aTask({ prompt, priority: 'low' }));
    clock.advance(HOUR);
    await core.createTask(aTask({ prompt: 'alone', priority: 'high', exclusive: true }));
    await core.createTask(aTask({ prompt: 'young', priority: 'low' }));
    expect(prompts(await takeAll(core))).toEqual(['old', 'old too']);
  });

  test('on Windows drives trees are trees too', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ work_directory: 'C:\\r', exclusive: true }));
    await take(core, { work_path: 'c:/r' });
    for (const path of ['C:\\', 'C:\\r\\x', 'D:\\r'])
      await core.createTask(aTask({ work_directory: path, prompt: path }));
    expect(prompts(await takeAll(core, ANY))).toEqual(['D:\\r']);
  });
});

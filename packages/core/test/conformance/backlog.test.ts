import { expect, test } from 'vitest';
import { aSetting, aTask, completionOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

const FIVE_MINUTES = 300;
const NOTHING = { oldestSeconds: { low: 0, medium: 0, high: 0 }, pathsWithoutWorker: 0 };

forEachEngine((engine) => {
  test('of each priority, the age of the longest-waiting task is told, over all paths', async () => {
    const { core, clock } = await engine.open();
    await expect(core.measureBacklog()).resolves.toEqual(NOTHING);
    await core.createTask(aTask({ work_directory: '/a', priority: 'high' }));
    clock.advance(2);
    await core.createTask(aTask({ work_directory: '/b', priority: 'high' }));
    await core.createTask(aTask({ work_directory: '/b', priority: 'low' }));
    await core.createTask(aTask({ work_directory: '/c', run_at: clock.in(60) }));
    clock.advance(3);
    await expect(core.measureBacklog()).resolves.toMatchObject({ oldestSeconds: { low: 3, medium: 0, high: 5 } });
    await take(core, { work_path: '/a' });
    await expect(core.measureBacklog()).resolves.toMatchObject({ oldestSeconds: { low: 3, medium: 0, high: 3 } });
  });

  test('a path whose tasks have waited for five minutes while nobody works there is without a worker', async () => {
    const { core, clock } = await engine.open();
    const withoutWorker = async () => (await core.measureBacklog()).pathsWithoutWorker;
    for (const priority of ['low', 'high'] as const) await core.createTask(aTask({ work_directory: '/a', priority }));
    await core.createTask(aTask({ work_directory: '/b' }));
    await core.createTask(aTask({ work_directory: '/b' }));
    clock.advance(FIVE_MINUTES - 1);
    expect(await withoutWorker()).toBe(0);
    clock.advance(1);
    expect(await withoutWorker()).toBe(2);
    const held = await take(core, { work_path: '/b' });
    expect(await withoutWorker()).toBe(1);
    await core.completeTask(completionOf(held));
    expect(await withoutWorker()).toBe(2);
  });

  test('a path that is paused, or kept free for an exclusive task at work above it, is not without a worker', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ work_directory: '/paused/inside' }));
    await core.createTask(aTask({ work_directory: '/tree', exclusive: true, timeout_seconds: 3600 }));
    await take(core, { work_path: '/tree', lease_seconds: 3600 });
    await core.createTask(aTask({ work_directory: '/tree/leaf' }));
    clock.advance(FIVE_MINUTES);
    expect((await core.measureBacklog()).pathsWithoutWorker).toBe(1);
    await core.setPath(aSetting('/paused', { paused: true }));
    expect((await core.measureBacklog()).pathsWithoutWorker).toBe(0);
  });
});

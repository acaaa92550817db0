import { expect, test, vi } from 'vitest';
import { Commit } from '../../src/commit/commit.ts';
import { aTask, cancelOf, completionOf, failureOf, listOf, take, takeAll } from '../builders.ts';
import { forEachEngine, type OpenedCore } from '../engines.ts';

async function expectCountsToMatch({ core }: OpenedCore): Promise<void> {
  const { tasks, total_tasks } = await core.getStatistics();
  for (const [status, count] of Object.entries(tasks)) {
    const { total } = await core.listTasks(listOf({ status: status as keyof typeof tasks, limit: 1 }));
    expect(count, status).toBe(total);
  }
  expect(total_tasks).toBe((await core.listTasks(listOf({ limit: 1 }))).total);
  const { tasks: gauged, waiting } = core.gauges();
  expect(gauged).toEqual(tasks);
  for (const priority of ['low', 'medium', 'high'] as const) {
    const { total } = await core.listTasks(listOf({ status: 'waiting', priority, limit: 1 }));
    expect(waiting[priority], priority).toBe(total);
  }
}

forEachEngine((engine) => {
  test('the counts are those of the tasks, through every state', async () => {
    const opened = await engine.open();
    const { core, clock } = opened;
    const first = await core.createTask(aTask({ max_attempts: 1 }));
    await core.createTask(aTask({ depends_on: [first.task_id] }));
    await core.createTask(aTask({ run_at: clock.in(10) }));
    await expectCountsToMatch(opened);
    await core.failTask(failureOf(await take(core)));
    await expectCountsToMatch(opened);
    clock.advance(20);
    await core.tick();
    await expectCountsToMatch(opened);
    await core.completeTask(completionOf(await take(core)));
    await expectCountsToMatch(opened);
    await core.retryTasks({ filter: { work_directory: '/repo' }, dry_run: false });
    await expectCountsToMatch(opened);
  });

  test('what the retention removes is no longer counted', async () => {
    const opened = await engine.open();
    const { core, clock } = opened;
    for (let index = 0; index < 3; index++) await core.cancelTask(cancelOf(await core.createTask(aTask())));
    await core.createTask(aTask());
    clock.advance(31 * 86_400);
    await core.tick();
    await expectCountsToMatch(opened);
    expect((await core.getStatistics()).tasks).toMatchObject({ cancelled: 0, waiting: 1 });
  });

  test('the oldest waiting task is found, whatever was taken before it', async () => {
    const { core, clock } = await engine.open();
    expect((await core.getStatistics()).oldest_waiting_seconds).toBeNull();
    await core.createTask(aTask({ work_directory: '/a' }));
    clock.advance(5);
    await core.createTask(aTask({ work_directory: '/b', priority: 'high' }));
    await core.createTask(aTask({ work_directory: '/b', priority: 'low', tags: ['t'] }));
    clock.advance(5);
    expect((await core.getStatistics()).oldest_waiting_seconds).toBe(10);
    await take(core, { work_path: '/a' });
    expect((await core.getStatistics()).oldest_waiting_seconds).toBe(5);
    clock.advance(5);
    await core.createTask(aTask({ work_directory: '/b', priority: 'low', tags: ['t', 'u'] }));
    await take(core, { work_path: '/b', tags_any: ['u'] });
    await take(core, { work_path: '/b' });
    expect((await core.getStatistics()).oldest_waiting_seconds).toBe(10);
    await takeAll(core, { work_path: undefined });
    expect((await core.getStatistics()).oldest_waiting_seconds).toBeNull();
  });

  test('asking for statistics while a task is being written makes nobody forget it', async () => {
    const { core } = await engine.open();
    const asked: Promise<unknown>[] = [];
    const before = vi.spyOn(Commit.prototype, 'writeEvents').mockImplementation(async function (this: Commit) {
      before.mockRestore();
      asked.push(core.getStatistics());
      await new Promise((resolve) => setImmediate(resolve));
      await this.writeEvents();
    });
    await core.createTask(aTask());
    await Promise.all(asked);
    await take(core);
  });
});

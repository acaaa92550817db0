import { expect, test } from 'vitest';
import { aBatchTask, aTask, cancelOf, completionOf, listOf, statusOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('cancel by filter reaches every task of the filter and no other', async () => {
    const { core } = await engine.open();
    await core.createTasks({ tasks: Array.from({ length: 450 }, () => aBatchTask({ tags: ['old'] })) });
    const other = await core.createTask(aTask());
    const working = await take(core);
    expect(await core.cancelTasks({ filter: { tag: 'old' }, force: false, dry_run: true })).toEqual({
      matched: 450,
      changed: 0,
    });
    expect(await core.cancelTasks({ filter: { tag: 'old' }, force: false, dry_run: false })).toEqual({
      matched: 450,
      changed: 450,
    });
    expect((await core.listTasks(listOf({ status: 'cancelled' }))).total).toBe(449);
    expect(await core.getTask(working)).toMatchObject({ status: 'working', cancel_requested: true });
    expect(await statusOf(core, other)).toBe('waiting');
  });

  test('retry by filter brings back failed and cancelled tasks and leaves the rest', async () => {
    const { core } = await engine.open();
    const tasks = await Promise.all(Array.from({ length: 5 }, () => core.createTask(aTask())));
    const done = await take(core);
    await core.completeTask(completionOf(done));
    for (const task of tasks.filter(({ task_id }) => task_id !== done.task_id)) await core.cancelTask(cancelOf(task));
    expect(await core.retryTasks({ filter: { work_directory: '/repo' }, dry_run: false })).toEqual({
      matched: 4,
      changed: 4,
    });
    expect((await core.getStatistics()).tasks).toMatchObject({ waiting: 4, completed: 1, cancelled: 0 });
  });

  test('a chain that is cancelled by filter ends once each', async () => {
    const { core } = await engine.open();
    await core.createTasks({
      tasks: Array.from({ length: 300 }, (_, index) =>
        aBatchTask({ ref: `${index}`, depends_on: index ? [`${index - 1}`] : [] }),
      ),
    });
    await core.cancelTasks({ filter: { work_directory: '/repo' }, force: false, dry_run: false });
    const { tasks } = await core.getStatistics();
    expect(tasks).toMatchObject({ cancelled: 300, blocked: 0, waiting: 0 });
  });

  test('a filter on a finished status matches nothing to cancel', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    await core.completeTask(completionOf(await take(core)));
    expect(await core.cancelTasks({ filter: { status: 'completed' }, force: true, dry_run: false })).toEqual({
      matched: 0,
      changed: 0,
    });
  });
});

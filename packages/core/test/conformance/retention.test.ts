import { expect, test } from 'vitest';
import { aTask, cancelOf, completionOf, eventTypes, listOf, logOf, refused, statusOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

const DAY = 86_400;

forEachEngine((engine) => {
  test('finished tasks go after the retention with their logs and events; open ones stay for ever', async () => {
    const { core, clock } = await engine.open({ task: { retentionDays: 2 } });
    await core.createTask(aTask());
    const done = await take(core);
    await core.appendLog(logOf(done, 'x'));
    await core.completeTask(completionOf(done));
    const open = await core.createTask(aTask());
    clock.advance(2 * DAY);
    await core.tick();
    expect(await statusOf(core, done)).toBe('completed');
    clock.advance(1);
    await core.tick();
    await refused('TASK_NOT_FOUND', core.getTask(done));
    expect(await statusOf(core, open)).toBe('waiting');
    expect((await core.listTasks(listOf())).total).toBe(1);
  });

  test('a new task does not inherit the history, the logs or the dependants of one that is gone', async () => {
    const { core, clock } = await engine.open({ task: { retentionDays: 1 } });
    await core.createTask(aTask());
    const gone = await take(core);
    await core.appendLog(logOf(gone, 'old'));
    await core.completeTask(completionOf(gone));
    clock.advance(2 * DAY);
    await core.tick();
    const fresh = await core.createTask(aTask());
    expect(await eventTypes(core, fresh)).toEqual(['created']);
    expect((await core.listLogs({ task_id: fresh.task_id, limit: 10 })).entries).toEqual([]);
    const { events } = await core.listEvents({ task_id: fresh.task_id, limit: 10 });
    expect(events.every(({ task_id }) => task_id === fresh.task_id)).toBe(true);
  });

  test('event ids and cursors are never given out again', async () => {
    const { core, clock } = await engine.open({ task: { retentionDays: 1 } });
    const last = async (task: { task_id: string }) =>
      Number((await core.listEvents({ task_id: task.task_id, limit: 100 })).events.at(-1)!.event_id);
    const first = await core.createTask(aTask());
    await core.cancelTask(cancelOf(first));
    let before = await last(first);
    for (let round = 0; round < 3; round++) {
      clock.advance(2 * DAY);
      await core.tick();
      await core.tick();
      const next = await core.createTask(aTask());
      expect(await last(next)).toBeGreaterThan(before);
      await core.cancelTask(cancelOf(next));
      before = await last(next);
    }
  });

  test('a thousand old tasks go in one cleanup', async () => {
    const { core, clock } = await engine.open({ task: { retentionDays: 1 } });
    await core.createTasks({ tasks: Array.from({ length: 1000 }, () => ({ ...aTask(), depends_on: [] })) });
    await core.cancelTasks({ filter: { status: 'waiting' }, force: false, dry_run: false });
    await core.createTask(aTask());
    clock.advance(2 * DAY);
    await core.tick();
    expect((await core.listTasks(listOf())).total).toBe(1);
  });

  test('a task that somebody still waits for stays', async () => {
    const { core, clock } = await engine.open({ task: { retentionDays: 1 } });
    const first = await core.createTask(aTask());
    const task = await core.createTask(aTask({ depends_on: [first.task_id] }));
    await core.cancelTask(cancelOf(first));
    await core.retryTask(task);
    clock.advance(2 * DAY);
    await core.tick();
    await core.retryTask(first);
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, task)).toBe('waiting');
  });

  test('a dependency that completed long ago still counts as met', async () => {
    const { core, clock } = await engine.open({ task: { retentionDays: 1 } });
    const [first, second] = [await core.createTask(aTask()), await core.createTask(aTask())];
    const task = await core.createTask(aTask({ depends_on: [first.task_id, second.task_id] }));
    await core.completeTask(completionOf(await take(core)));
    clock.advance(2 * DAY);
    await core.tick();
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, task)).toBe('waiting');
  });
});

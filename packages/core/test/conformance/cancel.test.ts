import { expect, test } from 'vitest';
import {
  aTask,
  cancelOf,
  completionOf,
  eventTypes,
  failureOf,
  heartbeatOf,
  refused,
  releaseOf,
  statusOf,
  take,
  takeAll,
} from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a task that nobody works on is cancelled at once and never handed out', async () => {
    const { core, clock } = await engine.open();
    const blocker = await core.createTask(aTask({ work_directory: '/other' }));
    const tasks = [
      await core.createTask(aTask()),
      await core.createTask(aTask({ run_at: clock.in(10) })),
      await core.createTask(aTask({ depends_on: [blocker.task_id] })),
    ];
    for (const task of tasks) {
      expect(await core.cancelTask(cancelOf(task, { reason: 'why' }))).toMatchObject({
        status: 'cancelled',
        cancel_reason: 'why',
        finished_at: clock.in(0),
      });
    }
    await core.completeTask(completionOf(await take(core, { work_path: '/other' })));
    clock.advance(20);
    await core.tick();
    expect(await takeAll(core)).toEqual([]);
  });

  test('cancelling again answers the task unchanged', async () => {
    const { core, clock } = await engine.open();
    const task = await core.createTask(aTask());
    const cancelled = await core.cancelTask(cancelOf(task, { reason: 'first' }));
    clock.advance(5);
    expect(await core.cancelTask(cancelOf(task, { reason: 'second', force: true }))).toEqual(cancelled);
    expect(await eventTypes(core, task)).toEqual(['created', 'cancelled']);
  });

  test.for(['completed', 'failed'] as const)('what has %s cannot be cancelled', async (end) => {
    const { core } = await engine.open();
    await core.createTask(aTask({ max_attempts: 1 }));
    const task = await take(core);
    await (end === 'completed' ? core.completeTask(completionOf(task)) : core.failTask(failureOf(task)));
    const refusal = await refused('STATUS_CONFLICT', core.cancelTask(cancelOf(task)));
    expect(refusal.message).toBe(
      `task ${task.task_id} is ${end}; only blocked, scheduled, waiting and working tasks can be cancelled`,
    );
  });

  test('a working task goes on until its worker has heard, and ends as the worker says', async () => {
    const { core } = await engine.open();
    for (const [path, end] of [
      ['/fail', 'cancelled'],
      ['/release', 'cancelled'],
      ['/complete', 'completed'],
    ] as const) {
      await core.createTask(aTask({ work_directory: path }));
      const task = await take(core, { work_path: path });
      expect(await core.cancelTask(cancelOf(task))).toMatchObject({ status: 'working', cancel_requested: true });
      await core.cancelTask(cancelOf(task));
      if (path === '/fail') await core.failTask(failureOf(task));
      if (path === '/release') await core.releaseTask(releaseOf(task));
      if (path === '/complete') await core.completeTask(completionOf(task));
      expect(await statusOf(core, task), path).toBe(end);
      expect(await eventTypes(core, task)).toEqual(['created', 'acquired', 'cancel_requested', end]);
    }
  });

  test('a worker that was to be told and died leaves a cancelled task', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await core.cancelTask(cancelOf(task, { reason: 'why' }));
    clock.advance(31);
    await core.tick();
    expect(await core.getTask(task)).toMatchObject({
      status: 'cancelled',
      cancel_reason: 'why',
      finished_at: clock.in(0),
    });
    await refused('LEASE_LOST', core.completeTask(completionOf(task)));
  });

  test('force ends the lease at once', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    expect(await core.cancelTask(cancelOf(task, { force: true }))).toMatchObject({
      status: 'cancelled',
      lease_expires_at: null,
    });
    await refused('LEASE_LOST', core.heartbeat(heartbeatOf(task)));
    await refused('LEASE_LOST', core.completeTask(completionOf(task)));
    expect(await statusOf(core, task)).toBe('cancelled');
  });

  test('cancel and complete in one commit: one of them, never both', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await Promise.allSettled([core.cancelTask(cancelOf(task, { force: true })), core.completeTask(completionOf(task))]);
    expect(await eventTypes(core, task)).toHaveLength(3);
    const { tasks } = await core.getStatistics();
    expect(tasks.cancelled + tasks.completed).toBe(1);
    expect(tasks.working).toBe(0);
  });

  test('a dependant that waits for a task again is left alone when that task is cancelled once more', async () => {
    const { core } = await engine.open();
    const first = await core.createTask(aTask());
    const task = await core.createTask(aTask({ depends_on: [first.task_id] }));
    await core.cancelTask(cancelOf(first));
    expect((await core.retryTask(task)).status).toBe('blocked');
    await core.cancelTask(cancelOf(first));
    expect(await statusOf(core, task)).toBe('blocked');
    await core.retryTask(first);
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, task)).toBe('waiting');
  });
});

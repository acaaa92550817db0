import { expect, test } from 'vitest';
import {
  aTask,
  cancelOf,
  completionOf,
  eventTypes,
  failureOf,
  heartbeatOf,
  refused,
  statusOf,
  take,
} from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a retried task starts afresh, with its epoch going on', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ max_attempts: 1 }));
    const first = await take(core);
    await core.heartbeat(heartbeatOf(first, { progress: { percent: 1 } }));
    await core.failTask(failureOf(first));
    clock.advance(60);
    expect(await core.retryTask(first)).toMatchObject({
      status: 'waiting',
      attempt: 0,
      run_at: clock.in(0),
      error: null,
      result: null,
      progress: null,
      finished_at: null,
      cancel_requested: false,
    });
    expect(await take(core)).toMatchObject({ task_id: first.task_id, attempt: 1, lease_epoch: 2 });
    await refused('LEASE_LOST', core.completeTask(completionOf(first)));
    await refused('LEASE_LOST', core.failTask(failureOf(first)));
  });

  test('a cancel request is gone with the retry', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await core.cancelTask(cancelOf(task, { reason: 'why' }));
    await core.failTask(failureOf(task));
    expect(await core.retryTask(task)).toMatchObject({ cancel_requested: false, cancel_reason: null });
    const again = await take(core);
    expect(await core.heartbeat(heartbeatOf(again))).toMatchObject({ cancel_requested: false });
    await core.completeTask(completionOf(again));
  });

  test('only failed and cancelled tasks can be retried', async () => {
    const { core, clock } = await engine.open();
    const waiting = await core.createTask(aTask({ work_directory: '/w' }));
    const scheduled = await core.createTask(aTask({ run_at: clock.in(9) }));
    const refusal = await refused('STATUS_CONFLICT', core.retryTask(waiting));
    expect(refusal.message).toBe(`task ${waiting.task_id} is waiting; only failed and cancelled tasks can be retried`);
    await refused('STATUS_CONFLICT', core.retryTask(scheduled));
    const working = await take(core, { work_path: '/w' });
    await refused('STATUS_CONFLICT', core.retryTask(working));
    await core.completeTask(completionOf(working));
    await refused('STATUS_CONFLICT', core.retryTask(working));
  });

  test('a retry sent twice retries once', async () => {
    const { core } = await engine.open();
    const task = await core.createTask(aTask());
    await core.cancelTask(cancelOf(task));
    const outcomes = await Promise.allSettled([core.retryTask(task), core.retryTask(task)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    expect(await eventTypes(core, task)).toEqual(['created', 'cancelled', 'retried']);
    expect(await statusOf(core, task)).toBe('waiting');
  });

  test('a dependant that runs in any case waits for a dependency that is retried in the same commit', async () => {
    const { core } = await engine.open();
    const first = await core.createTask(aTask());
    const task = await core.createTask(aTask({ depends_on: [first.task_id], on_dependency_failure: 'run' }));
    await core.cancelTask(cancelOf(first));
    await core.cancelTask(cancelOf(task));
    await Promise.all([core.retryTask(first), core.retryTask(task)]);
    expect(await statusOf(core, task)).toBe('blocked');
  });
});

import { expect, test } from 'vitest';
import { aTask, cancelOf, completionOf, eventTypes, failureOf, refused, statusOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a task waits for all that it depends on, named twice or not', async () => {
    const { core } = await engine.open();
    const first = await core.createTask(aTask());
    const second = await core.createTask(aTask());
    const task = await core.createTask(aTask({ depends_on: [first.task_id, second.task_id, first.task_id] }));
    expect(task.status).toBe('blocked');
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, task)).toBe('blocked');
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, task)).toBe('waiting');
  });

  test('a task whose dependencies have completed already is ready, or scheduled, at once', async () => {
    const { core, clock } = await engine.open();
    const first = await core.createTask(aTask());
    await core.completeTask(completionOf(await take(core)));
    expect((await core.createTask(aTask({ depends_on: [first.task_id] }))).status).toBe('waiting');
    const later = await core.createTask(aTask({ depends_on: [first.task_id], run_at: clock.in(10) }));
    expect(later.status).toBe('scheduled');
    expect(await eventTypes(core, later)).toEqual(['created', 'ready']);
  });

  test('the end of dependencies does not hasten a run_at', async () => {
    const { core, clock } = await engine.open();
    const first = await core.createTask(aTask());
    const task = await core.createTask(aTask({ depends_on: [first.task_id], run_at: clock.in(10) }));
    expect(task.status).toBe('blocked');
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, task)).toBe('scheduled');
    clock.advance(10);
    await core.tick();
    expect(await statusOf(core, task)).toBe('waiting');
  });

  test('a run_at that has passed does not let a blocked task go', async () => {
    const { core, clock } = await engine.open();
    const first = await core.createTask(aTask());
    const task = await core.createTask(aTask({ depends_on: [first.task_id], run_at: clock.in(1) }));
    clock.advance(5);
    await core.tick();
    expect(await statusOf(core, task)).toBe('blocked');
  });

  test('a failed or cancelled dependency cancels its dependants, all the way down, and says why', async () => {
    const { core } = await engine.open();
    const first = await core.createTask(aTask({ max_attempts: 1 }));
    const second = await core.createTask(aTask({ depends_on: [first.task_id] }));
    const third = await core.createTask(aTask({ depends_on: [second.task_id] }));
    await core.failTask(failureOf(await take(core)));
    expect(await core.getTask(second)).toMatchObject({
      status: 'cancelled',
      cancel_reason: `dependency ${first.task_id} is failed`,
    });
    expect(await core.getTask(third)).toMatchObject({
      status: 'cancelled',
      cancel_reason: `dependency ${second.task_id} is cancelled`,
    });
    expect((await core.getTask(third)).finished_at).not.toBeNull();
  });

  test('a dependant that runs in any case goes on after every end', async () => {
    const { core } = await engine.open();
    const failing = await core.createTask(aTask({ max_attempts: 1 }));
    const other = await core.createTask(aTask());
    const task = await core.createTask(
      aTask({ depends_on: [failing.task_id, other.task_id], on_dependency_failure: 'run' }),
    );
    await core.failTask(failureOf(await take(core)));
    expect(await statusOf(core, task)).toBe('blocked');
    await core.cancelTask(cancelOf(other));
    expect(await statusOf(core, task)).toBe('waiting');
  });

  test('an attempt that fails and is tried again leaves dependants blocked', async () => {
    const { core, clock } = await engine.open();
    const first = await core.createTask(aTask());
    const task = await core.createTask(aTask({ depends_on: [first.task_id] }));
    await core.failTask(failureOf(await take(core)));
    expect(await statusOf(core, task)).toBe('blocked');
    clock.advance(3600);
    await core.tick();
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, task)).toBe('waiting');
  });

  test('the ends of several dependencies in one commit free a task once', async () => {
    const { core } = await engine.open();
    const needed = await Promise.all(Array.from({ length: 5 }, () => core.createTask(aTask())));
    const task = await core.createTask(aTask({ depends_on: needed.map(({ task_id }) => task_id) }));
    const held = await Promise.all(needed.map(() => take(core)));
    await Promise.all(held.map((one) => core.completeTask(completionOf(one))));
    expect(await eventTypes(core, task)).toEqual(['created', 'ready']);
  });

  test('a lease that is lost for the last time cancels the dependants too', async () => {
    const { core, clock } = await engine.open();
    const first = await core.createTask(aTask({ max_attempts: 1 }));
    const task = await core.createTask(aTask({ depends_on: [first.task_id] }));
    await take(core);
    clock.advance(31);
    await core.tick();
    expect(await statusOf(core, first)).toBe('failed');
    expect(await statusOf(core, task)).toBe('cancelled');
  });

  test('a retried dependant waits again for a dependency that is retried with it', async () => {
    const { core } = await engine.open();
    const first = await core.createTask(aTask({ max_attempts: 1 }));
    const task = await core.createTask(aTask({ depends_on: [first.task_id] }));
    await core.failTask(failureOf(await take(core)));
    await Promise.all([core.retryTask(first), core.retryTask(task)]);
    expect(await statusOf(core, first)).toBe('waiting');
    expect(await statusOf(core, task)).toBe('blocked');
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, task)).toBe('waiting');
  });

  test('an unknown dependency is refused by its place', async () => {
    const { core } = await engine.open();
    const refusal = await refused(
      'VALIDATION_ERROR',
      core.createTask(aTask({ depends_on: ['01920000-0000-7000-8000-000000000000'] })),
    );
    expect(refusal.details?.field).toBe('depends_on.0');
  });
});

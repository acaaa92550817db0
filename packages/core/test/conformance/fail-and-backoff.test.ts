import { expect, test } from 'vitest';
import { aTask, eventTypes, failureOf, refused, statusOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a failed attempt comes back after a backoff that doubles, until the attempts are used up', async () => {
    const { core, clock } = await engine.open({ random: () => 0.5 });
    const task = await core.createTask(aTask({ max_attempts: 3 }));
    for (const seconds of [0.75, 1.5]) {
      const receipt = await core.failTask(failureOf(await take(core)));
      expect(receipt).toMatchObject({ status: 'scheduled', run_at: clock.in(seconds) });
      clock.advance(seconds);
      await core.tick();
      expect(await statusOf(core, task)).toBe('waiting');
    }
    const last = await core.failTask(failureOf(await take(core), { error: { code: 'E', message: 'for good' } }));
    expect(last).toMatchObject({ status: 'failed', attempt: 3, finished_at: clock.in(0) });
    expect((await core.getTask(task)).error).toEqual({ code: 'E', message: 'for good', retryable: true });
  });

  test('an error that is not retryable ends the task', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    expect(await core.failTask(failureOf(await take(core), { retryable: false }))).toMatchObject({
      status: 'failed',
      attempt: 1,
    });
  });

  test('a worker may say when to come back, to the millisecond', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const first = await core.failTask(failureOf(await take(core), { retry_after_seconds: 1.1 }));
    expect(first).toMatchObject({ status: 'scheduled', run_at: clock.in(1.1) });
    clock.advance(1.1);
    await core.tick();
    expect(await core.failTask(failureOf(await take(core), { retry_after_seconds: 0 }))).toMatchObject({
      status: 'waiting',
    });
    await take(core);
  });

  test('a repeated fail answers the same and happens once', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    const receipt = await core.failTask(failureOf(task));
    expect(await core.failTask(failureOf(task))).toEqual(receipt);
    expect(await eventTypes(core, task)).toEqual(['created', 'acquired', 'attempt_failed']);
  });

  test('tasks that fail together do not come back together', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 20; index++) await core.createTask(aTask());
    const receipts = await Promise.all(
      Array.from({ length: 20 }, async () => core.failTask(failureOf(await take(core)))),
    );
    expect(new Set(receipts.map(({ run_at }) => run_at)).size).toBeGreaterThan(10);
  });

  test('the event says what went wrong and when it goes on', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    const { run_at } = await core.failTask(failureOf(task));
    const { events } = await core.listEvents({ task_id: task.task_id, limit: 10 });
    expect(events.at(-1)).toMatchObject({
      type: 'attempt_failed',
      status: 'scheduled',
      data: { error: { message: 'it broke' }, run_at },
    });
  });

  test('nobody fails what another holds', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await refused('LEASE_LOST', core.failTask(failureOf({ ...task, lease_token: 'x' })));
    expect(await statusOf(core, task)).toBe('working');
  });
});

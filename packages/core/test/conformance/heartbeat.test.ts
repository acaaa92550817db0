import { expect, test } from 'vitest';
import { aTask, cancelOf, completionOf, heartbeatOf, refused, statusOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a heartbeat extends the lease by its length, or by the one it names from then on', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core, { lease_seconds: 10 });
    clock.advance(5);
    expect((await core.heartbeat(heartbeatOf(task))).lease_expires_at).toBe(clock.in(10));
    expect((await core.heartbeat(heartbeatOf(task, { lease_seconds: 100 }))).lease_expires_at).toBe(clock.in(100));
    clock.advance(50);
    expect((await core.heartbeat(heartbeatOf(task))).lease_expires_at).toBe(clock.in(100));
    await core.tick();
    expect(await statusOf(core, task)).toBe('working');
  });

  test('a heartbeat before the sweep keeps a lease that has run out', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    clock.advance(40);
    await core.heartbeat(heartbeatOf(task));
    await core.tick();
    expect(await statusOf(core, task)).toBe('working');
  });

  test('no heartbeat reaches beyond the timeout of the attempt', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ timeout_seconds: 60 }));
    const task = await take(core);
    clock.advance(25);
    expect((await core.heartbeat(heartbeatOf(task, { lease_seconds: 3600 }))).lease_expires_at).toBe(clock.in(35));
  });

  test('progress is kept until the next attempt', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await core.heartbeat(heartbeatOf(task, { progress: { percent: 50, message: 'half' } }));
    await core.heartbeat(heartbeatOf(task));
    expect((await core.getTask(task)).progress).toEqual({ percent: 50, message: 'half' });
    await core.releaseTask({ task_id: task.task_id, lease_token: task.lease_token });
    expect((await take(core)).progress).toBeNull();
  });

  test('cancel arrives with the next heartbeat, with its reason', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    expect(await core.heartbeat(heartbeatOf(task))).toMatchObject({ cancel_requested: false, cancel_reason: null });
    await core.cancelTask(cancelOf(task, { reason: 'changed my mind' }));
    expect(await core.heartbeat(heartbeatOf(task))).toMatchObject({
      cancel_requested: true,
      cancel_reason: 'changed my mind',
    });
  });

  test('many heartbeats are answered each for itself, in their order', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    await core.createTask(aTask());
    const first = await take(core);
    const second = await take(core);
    await core.completeTask(completionOf(second));
    const unknown = { task_id: '01920000-0000-7000-8000-000000000000', lease_token: 'x' };
    const { results } = await core.heartbeatMany({ heartbeats: [heartbeatOf(second), heartbeatOf(first), unknown] });
    expect(results.map(({ task_id, error }) => [task_id, error?.code ?? null])).toEqual([
      [second.task_id, 'LEASE_LOST'],
      [first.task_id, null],
      [unknown.task_id, 'TASK_NOT_FOUND'],
    ]);
  });

  test('a guessed token is worth nothing', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await refused('LEASE_LOST', core.heartbeat(heartbeatOf({ ...task, lease_token: 'guess' })));
    const waiting = await core.createTask(aTask());
    await refused('LEASE_LOST', core.heartbeat(heartbeatOf({ ...waiting, lease_token: 'guess' })));
  });
});

import { expect, test } from 'vitest';
import {
  aTask,
  anAcquire,
  cancelOf,
  completionOf,
  eventTypes,
  failureOf,
  heartbeatOf,
  logOf,
  refused,
  releaseOf,
  statusOf,
  take,
} from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a lease that expired can be taken by another worker, at once and under a higher epoch', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const first = await take(core, { worker_id: 'w1' });
    clock.advance(29.999);
    await core.tick();
    expect((await core.acquireTasks(anAcquire({ worker_id: 'w2' }))).tasks).toEqual([]);
    clock.advance(0.001);
    await core.tick();
    const second = await take(core, { worker_id: 'w2' });
    expect(second).toMatchObject({ task_id: first.task_id, attempt: 2, lease_epoch: 2, worker_id: 'w2' });
    expect(second.error).toMatchObject({ code: 'LEASE_LOST' });
    expect(await eventTypes(core, first)).toEqual(['created', 'acquired', 'lease_lost', 'acquired']);
  });

  test('a zombie that wakes after another worker took over can change nothing', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const zombie = await take(core, { worker_id: 'zombie' });
    await core.heartbeat(heartbeatOf(zombie, { progress: { percent: 10 } }));
    clock.advance(31);
    await core.tick();
    const holder = await take(core, { worker_id: 'holder' });
    await core.heartbeat(heartbeatOf(holder, { progress: { percent: 50, message: 'mine' } }));
    await core.appendLog(logOf(holder, 'mine'));
    const before = await core.getTask(holder);
    const eventsBefore = await eventTypes(core, holder);
    clock.advance(1);
    await refused('LEASE_LOST', core.heartbeat(heartbeatOf(zombie)));
    await refused('LEASE_LOST', core.heartbeat(heartbeatOf(zombie, { progress: { percent: 99 } })));
    await refused('LEASE_LOST', core.appendLog(logOf(zombie, 'not mine')));
    await refused('LEASE_LOST', core.completeTask(completionOf(zombie)));
    await refused('LEASE_LOST', core.completeTask(completionOf(zombie, { result: { status: 'failure' } })));
    await refused('LEASE_LOST', core.failTask(failureOf(zombie)));
    await refused('LEASE_LOST', core.releaseTask(releaseOf(zombie)));
    expect(await core.getTask(holder)).toEqual(before);
    expect(await eventTypes(core, holder)).toEqual(eventsBefore);
    expect((await core.listLogs({ task_id: holder.task_id, limit: 10 })).entries.map(({ text }) => text)).toEqual([
      'mine',
    ]);
    await core.completeTask(completionOf(holder));
  });

  test('a zombie and the holder in one commit: the holder alone is heard', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const zombie = await take(core);
    clock.advance(31);
    await core.tick();
    const holder = await take(core);
    const [late, right] = await Promise.allSettled([
      core.completeTask(completionOf(zombie, { result: { output: 'zombie' } })),
      core.completeTask(completionOf(holder, { result: { output: 'holder' } })),
    ]);
    expect(late).toMatchObject({ status: 'rejected', reason: { code: 'LEASE_LOST' } });
    expect(right.status).toBe('fulfilled');
    expect((await core.getTask(holder)).result).toMatchObject({ output: 'holder' });
  });

  test('a late completion counts while nobody else has taken the task', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    clock.advance(31);
    await core.tick();
    expect(await statusOf(core, task)).toBe('waiting');
    expect(await core.completeTask(completionOf(task, { result: { output: 'late' } }))).toMatchObject({
      status: 'completed',
    });
    expect((await core.acquireTasks(anAcquire())).tasks).toEqual([]);
    expect(await core.getTask(task)).toMatchObject({ status: 'completed', result: { output: 'late' }, error: null });
  });

  test('after the sweep only a success may come late', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    clock.advance(31);
    await core.tick();
    await refused('LEASE_LOST', core.heartbeat(heartbeatOf(task)));
    await refused('LEASE_LOST', core.failTask(failureOf(task)));
    await refused('LEASE_LOST', core.releaseTask(releaseOf(task)));
    await refused('LEASE_LOST', core.appendLog(logOf(task, 'late')));
    await refused('LEASE_LOST', core.completeTask(completionOf(task, { result: { status: 'failure' } })));
    expect(await statusOf(core, task)).toBe('waiting');
  });

  test.for(['cancel', 'retry'] as const)('after a %s a late completion comes too late', async (what) => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    clock.advance(31);
    await core.tick();
    await core.cancelTask(cancelOf(task));
    if (what === 'retry') await core.retryTask(task);
    await refused('LEASE_LOST', core.completeTask(completionOf(task)));
    expect(await statusOf(core, task)).toBe(what === 'retry' ? 'waiting' : 'cancelled');
  });

  test('a lease that is lost for the last time is a failure, and a retry brings the task back', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ max_attempts: 2 }));
    for (let attempt = 0; attempt < 2; attempt++) {
      await take(core);
      clock.advance(31);
      await core.tick();
    }
    const { tasks } = await core.listTasks({ limit: 1, offset: 0 });
    expect(tasks[0]).toMatchObject({ status: 'failed', attempt: 2, error: { code: 'LEASE_LOST' } });
  });

  test('an attempt that takes longer than its timeout ends, heartbeats or not', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ timeout_seconds: 50 }));
    const task = await take(core);
    for (let second = 0; second < 49; second += 7) {
      clock.advance(7);
      await core.tick();
      if (second < 42) await core.heartbeat(heartbeatOf(task));
    }
    clock.advance(1);
    await refused('LEASE_LOST', core.heartbeat(heartbeatOf(task)));
    await core.tick();
    const after = await core.getTask(task);
    expect(after).toMatchObject({ status: 'scheduled', attempt: 1, error: { code: 'TIMEOUT' } });
    expect(Date.parse(after.run_at)).toBeGreaterThan(clock.now);
  });

  test('two sweeps at the same moment take a lease back once', async () => {
    const { core, clock } = await engine.open();
    const task = await core.createTask(aTask());
    await take(core);
    clock.advance(31);
    await Promise.all([core.tick(), core.tick()]);
    expect(await eventTypes(core, task)).toEqual(['created', 'acquired', 'lease_lost']);
    expect((await core.getStatistics()).tasks).toMatchObject({ waiting: 1, working: 0 });
  });

  test('a thousand leases that end together are all taken back', async () => {
    const { core, clock } = await engine.open();
    await core.createTasks({ tasks: Array.from({ length: 1000 }, () => ({ ...aTask(), depends_on: [] })) });
    await core.acquireTasks(anAcquire({ limit: 500 }));
    await core.acquireTasks(anAcquire({ limit: 500 }));
    clock.advance(31);
    await core.tick();
    expect((await core.getStatistics()).tasks).toMatchObject({ waiting: 1000, working: 0 });
  });
});

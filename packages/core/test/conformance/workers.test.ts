import { expect, test } from 'vitest';
import { aTask, anAcquire, completionOf, heartbeatOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('workers are listed last seen first, with what they hold', async () => {
    const { core, clock } = await engine.open();
    for (let index = 0; index < 3; index++) await core.createTask(aTask());
    const first = await take(core, { worker_id: 'w1' });
    await take(core, { worker_id: 'w1' });
    clock.advance(10);
    await core.acquireTasks(anAcquire({ worker_id: 'idle', work_path: '/nothing' }));
    await core.tick();
    clock.advance(10);
    await core.heartbeat(heartbeatOf(first));
    await core.completeTask(completionOf(first));
    await core.tick();
    const { workers } = await core.listWorkers({ limit: 10 });
    expect(workers).toEqual([
      { worker_id: 'w1', last_acquire_at: clock.in(-20), last_heartbeat_at: clock.in(0), tasks_held: 1 },
      { worker_id: 'idle', last_acquire_at: clock.in(-10), last_heartbeat_at: null, tasks_held: 0 },
    ]);
    expect((await core.listWorkers({ limit: 1 })).workers).toHaveLength(1);
    expect((await core.getStatistics()).workers).toBe(2);
    clock.advance(3600);
    expect((await core.getStatistics()).workers).toBe(0);
  });

  test('a heartbeat that is refused is no sign of life', async () => {
    const { core } = await engine.open();
    const task = await core.createTask(aTask());
    await core.heartbeat(heartbeatOf({ ...task, lease_token: 'x' })).catch(() => undefined);
    await core.tick();
    expect((await core.listWorkers({ limit: 10 })).workers).toEqual([]);
  });
});

import { expect, test } from 'vitest';
import {
  aSetting,
  aTask,
  anAcquire,
  cancelOf,
  completionOf,
  eventTypes,
  heartbeatOf,
  logOf,
  prompts,
  take,
  takeAll,
} from '../builders.ts';
import { forEachDurableEngine } from '../engines.ts';

forEachDurableEngine((createPlace) => {
  test('what was acknowledged is there after a sudden death', async () => {
    const place = await createPlace();
    const { core, clock } = await place.open();
    const waiting = await core.createTask(aTask({ prompt: 'waiting', work_directory: '/w' }));
    await core.createTask(aTask({ prompt: 'done' }));
    const done = await take(core);
    await core.appendLog(logOf(done, 'line'));
    await core.completeTask(completionOf(done, { result: { output: 42 } }));
    await core.createTask(aTask({ prompt: 'working' }));
    const working = await take(core);
    const revived = await (await place.copyAsIfKilled()).open({ clock });
    for (const task of [waiting, done, working])
      expect(await revived.core.getTask(task)).toEqual(await core.getTask(task));
    expect(await eventTypes(revived.core, done)).toEqual(['created', 'acquired', 'completed']);
    expect((await revived.core.listLogs({ task_id: done.task_id, limit: 5 })).entries).toMatchObject([
      { text: 'line' },
    ]);
    await revived.core.heartbeat(heartbeatOf(working));
    await revived.core.completeTask(completionOf(working));
  });

  test('after a restart nothing is lost: order, turns, settings, counts, due tasks and leases', async () => {
    const place = await createPlace();
    const first = await place.open();
    const { core, clock } = first;
    await core.setPath(aSetting('/paused', { paused: true }));
    await core.setPath(aSetting('/limited', { max_concurrent: 1 }));
    for (const [work_directory, prompt, priority] of [
      ['/a', 'a low', 'low'],
      ['/a', 'a high', 'high'],
      ['/b', 'b medium', 'medium'],
      ['/paused', 'paused', 'high'],
      ['/limited', 'limited', 'high'],
      ['/limited', 'limited too', 'high'],
    ] as const)
      await core.createTask(aTask({ work_directory, prompt, priority }));
    await core.createTask(aTask({ work_directory: '/later', prompt: 'later', run_at: clock.in(10) }));
    const cancelled = await core.createTask(aTask({ work_directory: '/x' }));
    await core.cancelTask(cancelOf(cancelled));
    await take(core, { work_path: '/limited' });
    const { tasks: counts, oldest_waiting_seconds } = await core.getStatistics();
    await first.close();

    const second = await place.open({ clock });
    expect(await second.core.getStatistics()).toMatchObject({ tasks: counts, oldest_waiting_seconds });
    expect(prompts(await takeAll(second.core, { work_path: undefined }))).toEqual(['a high', 'b medium', 'a low']);
    clock.advance(31);
    await second.core.tick();
    expect(prompts(await takeAll(second.core, { work_path: '/later' }))).toEqual(['later']);
    expect(prompts(await takeAll(second.core, { work_path: '/limited' }))).toEqual(['limited']);
  });

  test('a lost answer to acquire is replayed after a restart', async () => {
    const place = await createPlace();
    const first = await place.open();
    await first.core.createTask(aTask());
    await first.core.createTask(aTask());
    const { tasks } = await first.core.acquireTasks(anAcquire({ acquire_id: 'a' }));
    await first.close();
    const second = await place.open({ clock: first.clock });
    expect((await second.core.acquireTasks(anAcquire({ acquire_id: 'a' }))).tasks).toEqual(tasks);
  });

  test('a stream resumes over a restart', async () => {
    const place = await createPlace();
    const first = await place.open();
    const before = await first.core.createTask(aTask());
    const { events } = await first.core.listEvents({ task_id: before.task_id, limit: 1 });
    await first.close();
    const second = await place.open({ clock: first.clock });
    const task = await second.core.createTask(aTask());
    const ending = new AbortController();
    const seen: string[] = [];
    for await (const event of second.core.streamEvents({ last_event_id: events[0]!.event_id }, ending.signal)) {
      seen.push(event.task_id);
      ending.abort();
    }
    expect(seen).toEqual([task.task_id]);
  });

  test('workers that were seen before the end are known after it', async () => {
    const place = await createPlace();
    const first = await place.open();
    await first.core.acquireTasks(anAcquire({ worker_id: 'w' }));
    await first.close();
    const second = await place.open({ clock: first.clock });
    expect((await second.core.listWorkers({ limit: 5 })).workers).toMatchObject([{ worker_id: 'w' }]);
  });
});

import type { TaskEvent } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import { StreamInput } from '@task-orchestrator/contract';
import { expect, onTestFinished, test } from 'vitest';
import type { z } from 'zod';
import { aBatchTask, aTask, cancelOf, completionOf, refused, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

/** Follows events in the background; `upTo(n)` resolves with the first n. */
function follow(
  core: Core,
  filter: z.input<typeof StreamInput> = {},
): { readonly events: readonly TaskEvent[]; upTo(count: number): Promise<TaskEvent[]>; stop(): Promise<void> } {
  const ending = new AbortController();
  const events: TaskEvent[] = [];
  let hear = Promise.withResolvers<void>();
  const done = (async () => {
    for await (const event of core.streamEvents(StreamInput.parse(filter), ending.signal)) {
      events.push(event);
      hear.resolve();
      hear = Promise.withResolvers<void>();
    }
  })();
  const stop = async (): Promise<void> => {
    ending.abort();
    await done;
  };
  onTestFinished(stop);
  return {
    events,
    stop,
    async upTo(count) {
      while (events.length < count) await hear.promise;
      return events.slice();
    },
  };
}

const typesOf = (events: readonly TaskEvent[]): string[] => events.map(({ type }) => type);

forEachEngine((engine) => {
  test('the history of a task is whole, in order and in pages', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    await core.completeTask(completionOf(await take(core)));
    const { tasks } = await core.listTasks({ limit: 1, offset: 0 });
    const { task_id } = tasks[0]!;
    const first = await core.listEvents({ task_id, limit: 2 });
    expect(
      first.events.map(({ type, status, attempt, lease_epoch, worker_id }) => [
        type,
        status,
        attempt,
        lease_epoch,
        worker_id,
      ]),
    ).toEqual([
      ['created', 'waiting', 0, 0, null],
      ['acquired', 'working', 1, 1, 'worker'],
    ]);
    const second = await core.listEvents({ task_id, limit: 2, cursor: first.next_cursor! });
    expect(typesOf(second.events)).toEqual(['completed']);
    expect(second.next_cursor).toBeNull();
  });

  test('a stream starts now', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const stream = follow(core);
    const later: string[] = [];
    while (stream.events.length === 0) later.push((await core.createTask(aTask())).task_id);
    expect(later).toContain(stream.events[0]!.task_id);
  });

  test('a stream follows in the order of the commits', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const stream = follow(core, { last_event_id: await core.eventPosition() });
    await take(core);
    const [task] = await Promise.all([core.createTask(aTask()), core.createTask(aTask())]);
    await core.cancelTask(cancelOf(task));
    const events = await stream.upTo(4);
    expect(typesOf(events)).toEqual(['acquired', 'created', 'created', 'cancelled']);
    expect(
      events.map(({ event_id }) => Number(event_id)).every((id, index, ids) => index === 0 || id > ids[index - 1]!),
    ).toBe(true);
  });

  test('a stream resumes after the last event with nothing lost and nothing twice', async () => {
    const { core } = await engine.open();
    for (let round = 0; round < 5; round++) await core.createTask(aTask());
    const first = follow(core, { last_event_id: '0' });
    const seen = await first.upTo(5);
    await first.stop();
    await core.createTasks({ tasks: Array.from({ length: 450 }, () => aBatchTask()) });
    const second = follow(core, { last_event_id: seen[2]!.event_id });
    const resumed = await second.upTo(452);
    await core.createTask(aTask());
    expect((await second.upTo(453)).at(-1)!.type).toBe('created');
    expect(resumed[0]!.event_id).toBe(seen[3]!.event_id);
    expect(new Set(resumed.map(({ event_id }) => event_id)).size).toBe(452);
  });

  test('a filter lets through what matches, live and from the past', async () => {
    const { core } = await engine.open();
    const run = async (): Promise<void> => {
      await core.createTask(aTask({ work_directory: '/r/a' }));
      await core.createTask(aTask({ work_directory: '/r2' }));
      await core.completeTask(completionOf(await take(core, { work_path: '/r/a', worker_id: 'w1' })));
      await core.completeTask(completionOf(await take(core, { work_path: '/r2', worker_id: 'w2' })));
    };
    const filters = [
      [{ work_directory: '/r', subtree: true }, 3],
      [{ work_directory: '/r' }, 0],
      [{ work_directory: '/r/a' }, 3],
      [{ status: 'completed' }, 2],
      [{ type: 'created' }, 2],
      [{ worker_id: 'w2' }, 2],
    ] as const;
    const last_event_id = await core.eventPosition();
    const live = filters.map(([filter]) => follow(core, { ...filter, last_event_id }));
    const all = follow(core, { last_event_id });
    await run();
    await all.upTo(6);
    for (const [index, [filter, count]] of filters.entries()) {
      expect(await live[index]!.upTo(count), JSON.stringify(filter)).toHaveLength(count);
      expect(await follow(core, { ...filter, last_event_id: '0' }).upTo(count), JSON.stringify(filter)).toHaveLength(
        count,
      );
    }
  });

  test('a stream for one task hears of that task alone', async () => {
    const { core } = await engine.open();
    const task = await core.createTask(aTask());
    const stream = follow(core, { task_id: task.task_id, last_event_id: '0' });
    await core.createTask(aTask());
    await core.cancelTask(cancelOf(task));
    expect(typesOf(await stream.upTo(2))).toEqual(['created', 'cancelled']);
  });

  test('a stream ends when the core drains', async () => {
    const { core } = await engine.open();
    const events: TaskEvent[] = [];
    const ended = (async () => {
      for await (const event of core.streamEvents({}, new AbortController().signal)) events.push(event);
    })();
    await core.ping();
    core.drain();
    await ended;
    expect(events).toEqual([]);
  });

  test('a cursor that nobody gave out is refused', async () => {
    const { core } = await engine.open();
    const { task_id } = await core.createTask(aTask());
    await refused('VALIDATION_ERROR', core.listEvents({ task_id, limit: 1, cursor: 'x' }));
  });
});

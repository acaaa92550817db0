import { expect, test, vi } from 'vitest';
import { aTask, cancelOf, completionOf, failureOf, refused, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a wait answers with the end of any or of all its tasks', async () => {
    const { core } = await engine.open();
    const [first, second] = [await core.createTask(aTask()), await core.createTask(aTask())];
    const task_ids = [first.task_id, second.task_id];
    const any = core.waitForTasks({ task_ids, until: 'any', wait_seconds: 30 });
    const all = core.waitForTasks({ task_ids, until: 'all', wait_seconds: 30 });
    await core.completeTask(completionOf(await take(core), { result: { output: 1 } }));
    expect(await any).toMatchObject({
      done: true,
      finished: [{ task_id: first.task_id, status: 'completed', result: { output: 1 } }],
      pending: [second.task_id],
    });
    await core.failTask(failureOf(await take(core), { retryable: false }));
    expect(await all).toMatchObject({
      done: true,
      finished: [{ status: 'completed' }, { status: 'failed' }],
      pending: [],
    });
  });

  test('a wait for what has ended answers at once, and one without patience too', async () => {
    const { core } = await engine.open();
    const task = await core.createTask(aTask());
    expect(await core.waitForTasks({ task_ids: [task.task_id], until: 'all', wait_seconds: 0 })).toEqual({
      done: false,
      finished: [],
      pending: [task.task_id],
    });
    await core.cancelTask(cancelOf(task));
    expect(
      await core.waitForTasks({ task_ids: [task.task_id, task.task_id], until: 'all', wait_seconds: 30 }),
    ).toMatchObject({ done: true, finished: [{}] });
  });

  test('a wait that outlasts a failed attempt goes on', async () => {
    const { core } = await engine.open();
    const task = await core.createTask(aTask());
    const wait = core.waitForTasks({ task_ids: [task.task_id], until: 'all', wait_seconds: 30 });
    await core.failTask(failureOf(await take(core), { retry_after_seconds: 0 }));
    await core.completeTask(completionOf(await take(core)));
    expect(await wait).toMatchObject({ done: true, finished: [{ status: 'completed', attempt: 2 }] });
  });

  test('the caller who goes away and the core that drains end a wait', async () => {
    const { core } = await engine.open();
    const { task_id } = await core.createTask(aTask());
    const caller = new AbortController();
    const left = core.waitForTasks({ task_ids: [task_id], until: 'all', wait_seconds: 30 }, caller.signal);
    caller.abort();
    expect(await left).toMatchObject({ done: false });
    const drained = core.waitForTasks({ task_ids: [task_id], until: 'all', wait_seconds: 30 });
    core.drain();
    expect(await drained).toMatchObject({ done: false });
  });

  test('an unknown task is not waited for', async () => {
    const { core } = await engine.open();
    await refused(
      'TASK_NOT_FOUND',
      core.waitForTasks({ task_ids: ['01920000-0000-7000-8000-000000000000'], until: 'any', wait_seconds: 30 }),
    );
  });

  test('a wait that is over leaves no listener behind', async () => {
    const { core } = await engine.open();
    const task = await core.createTask(aTask());
    await core.cancelTask(cancelOf(task));
    const added = vi.spyOn(AbortSignal.prototype, 'addEventListener');
    const removed = vi.spyOn(AbortSignal.prototype, 'removeEventListener');
    await core.waitForTasks({ task_ids: [task.task_id], until: 'all', wait_seconds: 30 });
    expect(removed.mock.calls.length).toBe(added.mock.calls.length);
    added.mockRestore();
    removed.mockRestore();
  });
});

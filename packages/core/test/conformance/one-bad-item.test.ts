import { expect, onTestFinished, test, vi } from 'vitest';
import { Commit } from '../../src/commit/commit.ts';
import { completeTasks } from '../../src/repository/complete.ts';
import { createTasks } from '../../src/repository/create.ts';
import {
  aTask,
  anAcquire,
  cancelOf,
  completionOf,
  eventTypes,
  failureOf,
  listOf,
  refused,
  statusOf,
  take,
  takeAll,
} from '../builders.ts';
import { forEachEngine } from '../engines.ts';

/** Every commit fails at its last step as if the disk were full, until the answer is called or the test ends. */
function fillDisk(): () => void {
  const full = vi
    .spyOn(Commit.prototype, 'writeEvents')
    .mockRejectedValue(Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' }));
  const freeDisk = (): void => full.mockRestore();
  onTestFinished(freeDisk);
  return freeDisk;
}

forEachEngine((engine) => {
  test('a refusal is the answer of its caller alone, whatever else is in the commit', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 4; index++) await core.createTask(aTask());
    const [a, b, c] = [await take(core), await take(core), await take(core)];
    const outcomes = await Promise.allSettled([
      core.completeTask(completionOf({ ...a, lease_token: 'x' })),
      core.completeTask(completionOf(b)),
      core.failTask(failureOf({ ...c, lease_token: 'x' })),
      core.failTask(failureOf(c)),
      core.createTask(aTask({ metadata: { big: 'x'.repeat(1_100_000) } })),
      core.createTask(aTask({ prompt: 'good' })),
      core.cancelTask(cancelOf({ task_id: '01920000-0000-7000-8000-000000000000' })),
      core.acquireTasks(anAcquire({ limit: 5 })),
    ]);
    expect(outcomes.map(({ status }) => (status === 'fulfilled' ? 'ok' : 'no')).join(' ')).toBe(
      'no ok no ok no ok no ok',
    );
    expect(await statusOf(core, a)).toBe('working');
    expect(await statusOf(core, b)).toBe('completed');
  });

  test('an unexpected error of one caller is its own, and its neighbours are served', async () => {
    const errors: unknown[] = [];
    const { core } = await engine.open({ observer: { onError: (error) => void errors.push(error) } });
    await core.createTask(aTask({ prompt: 'waiting' }));
    const bug = new Error('a bug');
    const run = createTasks.run;
    const spy = vi.spyOn(createTasks, 'run').mockImplementation((commit, items) => {
      if (items.some(({ tasks }) => tasks.some(({ prompt }) => prompt === 'bad'))) throw bug;
      return run(commit, items);
    });
    const outcomes = await Promise.allSettled([
      core.createTask(aTask({ prompt: 'good' })),
      core.createTask(aTask({ prompt: 'bad' })),
      core.acquireTasks(anAcquire({ limit: 9 })),
      core.createTask(aTask({ prompt: 'good too' })),
    ]);
    spy.mockRestore();
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: bug });
    expect((await core.listTasks(listOf())).total).toBe(3);
    expect(errors).toContain(bug);
    const { tasks } = await core.getStatistics();
    await takeAll(core);
    expect(tasks.waiting + tasks.working).toBe(3);
    expect((await core.getStatistics()).tasks).toMatchObject({ waiting: 0, working: 3 });
  });

  test('an unexpected error of one item of many fails its call, and the other items are done', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 3; index++) await core.createTask(aTask());
    const held = await takeAll(core);
    const bug = new Error('a bug');
    const run = completeTasks.run;
    const spy = vi.spyOn(completeTasks, 'run').mockImplementation((commit, items) => {
      if (items.some(({ task_id }) => task_id === held[1]!.task_id)) throw bug;
      return run(commit, items);
    });
    const call = core.completeTasks({ completions: held.map((task) => completionOf(task)) });
    await expect(call).rejects.toBe(bug);
    spy.mockRestore();
    expect(await Promise.all(held.map((task) => statusOf(core, task)))).toEqual(['completed', 'working', 'completed']);
  });

  test('a full disk refuses everyone, leaves nothing half done, and is over when it is over', async () => {
    const { core, clock } = await engine.open();
    const task = await core.createTask(aTask());
    const other = await core.createTask(aTask({ work_directory: '/other' }));
    const held = await take(core, { work_path: '/other' });
    const before = [await core.getTask(task), await core.getTask(other)];
    const statistics = (await core.getStatistics()).tasks;
    const freeDisk = fillDisk();
    await Promise.all([
      refused('UNAVAILABLE', core.createTask(aTask({ idempotency_key: 'k' }))),
      refused('UNAVAILABLE', core.acquireTasks(anAcquire({ limit: 10 }))),
      refused('UNAVAILABLE', core.completeTask(completionOf(held))),
      refused('UNAVAILABLE', core.cancelTask(cancelOf(task))),
      refused('UNAVAILABLE', core.completeTasks({ completions: [completionOf(held)] })),
    ]);
    expect([await core.getTask(task), await core.getTask(other)]).toEqual(before);
    freeDisk();
    expect((await core.getStatistics()).tasks).toEqual(statistics);
    expect(await eventTypes(core, task)).toEqual(['created']);
    expect((await take(core)).task_id).toBe(task.task_id);
    await core.completeTask(completionOf(held));
    expect((await core.createTask(aTask({ idempotency_key: 'k' }))).status).toBe('waiting');
    clock.advance(31);
    await core.tick();
  });

  test('tasks that could not be handed out are handed out after, one by one or many', async () => {
    const { core } = await engine.open();
    const tasks = await Promise.all(
      ['/a', '/b', '/c'].map((work_directory) => core.createTask(aTask({ work_directory }))),
    );
    for (const limit of [1, 3, 10]) {
      const freeDisk = fillDisk();
      await refused('UNAVAILABLE', core.acquireTasks(anAcquire({ work_path: undefined, limit })));
      freeDisk();
    }
    expect(await takeAll(core, { work_path: undefined })).toHaveLength(tasks.length);
  });

  test('a core on a full disk can be closed', async () => {
    const opened = await engine.open();
    await opened.core.acquireTasks(anAcquire());
    const freeDisk = fillDisk();
    await opened.close();
    freeDisk();
  });

  test('due tasks and expired leases are tried again after an outage', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ run_at: clock.in(10) }));
    await core.createTask(aTask({ work_directory: '/other' }));
    await take(core, { work_path: '/other' });
    clock.advance(31);
    const freeDisk = fillDisk();
    await refused('UNAVAILABLE', core.tick());
    freeDisk();
    await core.tick();
    expect(await takeAll(core, { work_path: undefined })).toHaveLength(2);
  });

  test('a task that fell due during an outage is made ready after it, with nobody asking', async () => {
    const failed = Promise.withResolvers<void>();
    const { core } = await engine.open({ background: true, observer: { onOutage: () => failed.resolve() } });
    await core.createTask(aTask({ run_at: new Date(Date.now() + 50).toISOString() }));
    const freeDisk = fillDisk();
    await failed.promise;
    freeDisk();
    expect((await core.acquireTasks(anAcquire({ wait_seconds: 4 }))).tasks).toHaveLength(1);
  });

  test('an observer that throws does not make a commit happen twice', async () => {
    const { core } = await engine.open({
      observer: {
        onEvents: () => {
          throw new Error('observer');
        },
      },
    });
    const [first, second] = await Promise.all([core.createTask(aTask()), core.createTask(aTask())]);
    expect((await core.listTasks(listOf())).total).toBe(2);
    expect(first.task_id).not.toBe(second.task_id);
  });

  test('what commits and events are measured by reaches the observer', async () => {
    const commits: number[] = [];
    const seen: string[] = [];
    const { core, clock } = await engine.open({
      observer: {
        onCommit: ({ calls }) => void commits.push(calls),
        onEvents: (events) =>
          void seen.push(
            ...events.map(({ type, waitSeconds, workSeconds }) => `${type} ${waitSeconds ?? workSeconds ?? ''}`.trim()),
          ),
      },
    });
    await core.createTask(aTask());
    clock.advance(3);
    const task = await take(core);
    clock.advance(4);
    await core.completeTask(completionOf(task));
    expect(seen).toEqual(['created', 'acquired 3', 'completed 4']);
    expect(commits).toEqual([1, 1, 1]);
    await Promise.all([core.createTask(aTask()), core.createTask(aTask())]);
    expect(commits.at(-1)).toBe(2);
  });
});

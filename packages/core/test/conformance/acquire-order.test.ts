import { expect, test } from 'vitest';
import { aTask, anAcquire, completionOf, prompts, releaseOf, take, takeAll } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

const HOUR = 3600;

forEachEngine((engine) => {
  test('higher priority comes first, then earlier run_at, then creation', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ prompt: 'low', priority: 'low', run_at: clock.in(-100) }));
    await core.createTask(aTask({ prompt: 'first' }));
    await core.createTask(aTask({ prompt: 'second' }));
    await core.createTask(aTask({ prompt: 'earlier', run_at: clock.in(-50) }));
    await core.createTask(aTask({ prompt: 'high', priority: 'high' }));
    expect(prompts(await takeAll(core))).toEqual(['high', 'earlier', 'first', 'second', 'low']);
  });

  test('the order is the same for one call that takes many', async () => {
    const { core, clock } = await engine.open();
    for (const [prompt, priority, at] of [
      ['c', 'medium', 0],
      ['d', 'low', -9],
      ['a', 'high', 0],
      ['b', 'medium', -1],
    ] as const)
      await core.createTask(aTask({ prompt, priority, run_at: clock.in(at) }));
    const { tasks } = await core.acquireTasks(anAcquire({ limit: 10 }));
    expect(prompts(tasks)).toEqual(['a', 'b', 'c', 'd']);
  });

  test('callers of one commit get different tasks, in the order in which they came', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 10; index++) await core.createTask(aTask({ prompt: String(index) }));
    const answers = await Promise.all([3, 1, 4, 5].map((limit) => core.acquireTasks(anAcquire({ limit }))));
    expect(answers.map(({ tasks }) => prompts(tasks).join(''))).toEqual(['012', '3', '4567', '89']);
    const empty = await core.acquireTasks(anAcquire());
    expect(empty).toMatchObject({ tasks: [], reason: 'empty' });
    expect(empty.retry_after_seconds).toBeGreaterThan(0);
  });

  test('across paths the priority goes before the turn', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ work_directory: '/a', prompt: 'a1' }));
    await core.createTask(aTask({ work_directory: '/a', prompt: 'a2' }));
    await core.createTask(aTask({ work_directory: '/b', prompt: 'b1', priority: 'low' }));
    await core.createTask(aTask({ work_directory: '/c', prompt: 'c1', priority: 'high' }));
    expect(prompts(await takeAll(core, { work_path: undefined }))).toEqual(['c1', 'a1', 'a2', 'b1']);
  });

  test('a work path means that directory alone, or with subtree what is below it too', async () => {
    const { core } = await engine.open();
    for (const path of ['/r', '/r/a', '/r/a/b', '/r2', '/'])
      await core.createTask(aTask({ work_directory: path, prompt: path }));
    expect(prompts(await takeAll(core, { work_path: '/r/a' }))).toEqual(['/r/a']);
    expect(prompts(await takeAll(core, { work_path: '/r', subtree: true })).toSorted()).toEqual(['/r', '/r/a/b']);
    expect(prompts(await takeAll(core, { work_paths: ['/r2', '/nowhere'] }))).toEqual(['/r2']);
    expect(prompts(await takeAll(core, { work_path: '/', subtree: true }))).toEqual(['/']);
  });

  test('a worker with tags gets tasks with one of them, in order, whatever else is waiting', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ prompt: 'other', priority: 'high', tags: ['cpu'] }));
    await core.createTask(aTask({ prompt: 'none', priority: 'high' }));
    await core.createTask(aTask({ prompt: 'gpu', priority: 'medium', tags: ['x', 'gpu'] }));
    await core.createTask(aTask({ prompt: 'tpu', priority: 'low', tags: ['tpu'] }));
    expect(prompts(await takeAll(core, { tags_any: ['gpu', 'tpu'] }))).toEqual(['gpu', 'tpu']);
    expect(prompts(await takeAll(core))).toEqual(['other', 'none']);
  });

  test('a worker with tags leaves nothing behind for the others', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ prompt: 'plain' }));
    expect((await core.acquireTasks(anAcquire({ tags_any: ['gpu'] }))).tasks).toEqual([]);
    expect(prompts(await takeAll(core))).toEqual(['plain']);
  });

  test('an acquisition starts an attempt: token, epoch, worker and lease', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const first = await take(core, { worker_id: 'w1', lease_seconds: 10 });
    expect(first).toMatchObject({
      status: 'working',
      attempt: 1,
      lease_epoch: 1,
      worker_id: 'w1',
      lease_expires_at: clock.in(10),
      started_at: clock.in(0),
    });
    await core.releaseTask(releaseOf(first));
    const second = await take(core, { worker_id: 'w2' });
    expect(second).toMatchObject({ attempt: 1, lease_epoch: 2, worker_id: 'w2', lease_expires_at: clock.in(30) });
    expect(second.lease_token).not.toBe(first.lease_token);
    expect(await core.getTask(first)).not.toHaveProperty('lease_token');
  });

  test('a caller that cannot heartbeat gets a lease as long as the attempt may take', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ timeout_seconds: 77 }));
    const task = await core.acquireNextTask({ work_path: '/repo', worker_id: 'w', subtree: false, wait_seconds: 0 });
    expect(task).toMatchObject({ lease_expires_at: clock.in(77) });
    expect(
      await core.acquireNextTask({ work_path: '/repo', worker_id: 'w', subtree: false, wait_seconds: 0 }),
    ).toBeNull();
  });

  test('no lease is longer than the attempt may take', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask({ timeout_seconds: 5 }));
    expect((await take(core, { lease_seconds: 100 })).lease_expires_at).toBe(clock.in(5));
  });

  test('a repeated acquire_id answers the same tasks with the same leases', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 4; index++) await core.createTask(aTask());
    const call = anAcquire({ limit: 2, acquire_id: 'a' });
    const first = await core.acquireTasks(call);
    expect(await core.acquireTasks(call)).toEqual(first);
    expect((await core.acquireTasks(anAcquire({ limit: 2, acquire_id: 'b' }))).tasks).toHaveLength(2);
    expect(await core.acquireTasks(call)).toEqual(first);
  });

  test('an acquire_id sent twice at the same moment takes once', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 4; index++) await core.createTask(aTask());
    const call = anAcquire({ acquire_id: 'a' });
    const [first, second] = await Promise.all([core.acquireTasks(call), core.acquireTasks(call)]);
    expect(second).toEqual(first);
    expect((await core.getStatistics()).tasks.working).toBe(1);
  });

  test('an acquire_id is no key to what another worker holds', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    await take(core, { worker_id: 'w1', acquire_id: 'a' });
    expect((await core.acquireTasks(anAcquire({ worker_id: 'w2', acquire_id: 'a' }))).tasks).toEqual([]);
  });

  test('the system-wide limit holds, within a commit and over commits, and says so', async () => {
    const { core } = await engine.open({ task: { maxConcurrentTasks: 3 } });
    for (let index = 0; index < 9; index++) await core.createTask(aTask({ work_directory: `/p${index % 3}` }));
    const answers = await Promise.all(
      ['/p0', '/p1', '/p2'].map((work_path) => core.acquireTasks(anAcquire({ work_path, limit: 2 }))),
    );
    expect(answers.flatMap(({ tasks }) => tasks)).toHaveLength(3);
    expect(await core.acquireTasks(anAcquire({ work_path: '/p2' }))).toMatchObject({ tasks: [], reason: 'limit' });
    await core.completeTask(completionOf(answers[0]!.tasks[0]!));
    expect(await takeAll(core, { work_path: undefined, limit: 5 })).toHaveLength(1);
  });

  test('a task that has waited too long takes every second turn from higher priorities', async () => {
    const { core, clock } = await engine.open({ task: { priorityAgeingSeconds: HOUR } });
    for (let index = 0; index < 3; index++) await core.createTask(aTask({ prompt: `low${index}`, priority: 'low' }));
    clock.advance(HOUR);
    for (let index = 0; index < 6; index++) await core.createTask(aTask({ prompt: `high${index}`, priority: 'high' }));
    const order = prompts(await takeAll(core));
    expect(
      order
        .filter((_, index) => index < 6)
        .map((prompt) => prompt.slice(0, -1))
        .toSorted(),
    ).toEqual(['high', 'high', 'high', 'low', 'low', 'low']);
    expect(order.filter((prompt) => prompt.startsWith('low'))).toEqual(['low0', 'low1', 'low2']);
    for (let index = 1; index < 6; index++)
      expect(order[index]!.startsWith('low')).not.toBe(order[index - 1]!.startsWith('low'));
  });

  test('only those who have waited too long take a turn from higher priorities', async () => {
    const { core, clock } = await engine.open({ task: { priorityAgeingSeconds: HOUR } });
    await core.createTask(aTask({ prompt: 'old', priority: 'low' }));
    clock.advance(HOUR);
    for (let index = 0; index < 4; index++) await core.createTask(aTask({ prompt: 'young', priority: 'low' }));
    for (let index = 0; index < 4; index++) await core.createTask(aTask({ prompt: 'high', priority: 'high' }));
    const order = prompts(await takeAll(core));
    expect(order.slice(0, 2)).toContain('old');
    expect(order.slice(5)).toEqual(['young', 'young', 'young', 'young']);
  });

  test('workers in turn on different paths do not take the aged turns from each other', async () => {
    const { core, clock } = await engine.open({ task: { priorityAgeingSeconds: HOUR } });
    for (const work_directory of ['/a', '/b'])
      await core.createTask(aTask({ work_directory, prompt: `old ${work_directory}`, priority: 'low' }));
    clock.advance(HOUR);
    for (let index = 0; index < 20; index++) {
      for (const work_directory of ['/a', '/b'])
        await core.createTask(aTask({ work_directory, prompt: 'high', priority: 'high' }));
    }
    const order: string[] = [];
    for (let index = 0; index < 4; index++) {
      for (const work_path of ['/a', '/b']) order.push((await take(core, { work_path })).prompt);
    }
    expect(order).toContain('old /a');
    expect(order).toContain('old /b');
  });

  test('a worker with tags ages tasks too, and is not misled by what it may not take', async () => {
    const { core, clock } = await engine.open({ task: { priorityAgeingSeconds: HOUR } });
    await core.createTask(aTask({ prompt: 'untagged', priority: 'low' }));
    await core.createTask(aTask({ prompt: 'old', priority: 'low', tags: ['t'] }));
    clock.advance(HOUR);
    for (let index = 0; index < 3; index++)
      await core.createTask(aTask({ prompt: 'young', priority: 'low', tags: ['t'] }));
    for (let index = 0; index < 3; index++)
      await core.createTask(aTask({ prompt: 'high', priority: 'high', tags: ['t'] }));
    const order = prompts(await takeAll(core, { tags_any: ['t'] }));
    expect(order.slice(0, 2)).toContain('old');
    expect(order.slice(4)).toEqual(['young', 'young', 'young']);
    expect(prompts(await takeAll(core))).toEqual(['untagged']);
  });
});

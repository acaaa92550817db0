import { expect, test } from 'vitest';
import type { AcquireOutput } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import { aSetting, aTask, anAcquire, cancelOf, completionOf, prompts, statusOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

/** Below the five seconds after which a poll looks again by itself: whoever is woken is woken by the event. */
const PROMPTLY = 4_000;

/** Starts a long poll and answers once it waits. */
async function poll(
  core: Core,
  acquire: Parameters<typeof anAcquire>[0] = {},
  signal?: AbortSignal,
): Promise<{ answer: Promise<AcquireOutput> }> {
  const waiting = core.gauges().acquire_waiters;
  const answer = core.acquireTasks(anAcquire({ wait_seconds: 30, ...acquire }), signal);
  while (core.gauges().acquire_waiters === waiting) await new Promise((resolve) => setImmediate(resolve));
  return { answer };
}

forEachEngine((engine) => {
  test(
    'a poll gets a task that is created, released, promoted or lost while it waits',
    { timeout: PROMPTLY },
    async () => {
      const { core, clock } = await engine.open();
      const created = await poll(core);
      await core.createTask(aTask());
      const first = (await created.answer).tasks[0]!;
      const released = await poll(core);
      await core.releaseTask({ task_id: first.task_id, lease_token: first.lease_token });
      expect((await released.answer).tasks).toHaveLength(1);
      const lost = await poll(core);
      clock.advance(31);
      await core.tick();
      expect((await lost.answer).tasks).toHaveLength(1);
      const promoted = await poll(core);
      await core.createTask(aTask({ run_at: clock.in(10) }));
      clock.advance(10);
      await core.tick();
      expect((await promoted.answer).tasks).toHaveLength(1);
    },
  );

  test('polls are served in the order in which they came', { timeout: PROMPTLY }, async () => {
    const { core } = await engine.open();
    const polls = [await poll(core), await poll(core), await poll(core)];
    for (const prompt of ['1', '2', '3']) await core.createTask(aTask({ prompt }));
    const answers = await Promise.all(polls.map(({ answer }) => answer));
    expect(answers.map(({ tasks }) => prompts(tasks).join(''))).toEqual(['1', '2', '3']);
  });

  test('a poll with tags does not swallow the call for another', { timeout: PROMPTLY }, async () => {
    const { core } = await engine.open();
    const gpu = await poll(core, { tags_any: ['gpu'], worker_id: 'gpu' });
    const plain = await poll(core, { worker_id: 'plain' });
    await core.createTask(aTask({ prompt: 'plain' }));
    expect(prompts((await plain.answer).tasks)).toEqual(['plain']);
    await core.createTask(aTask({ prompt: 'gpu', tags: ['gpu'] }));
    expect(prompts((await gpu.answer).tasks)).toEqual(['gpu']);
  });

  test('a poll that was held goes on when the path is free', { timeout: PROMPTLY }, async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ exclusive: true }));
    const alone = await take(core);
    await core.createTask(aTask({ work_directory: '/repo/sub', prompt: 'sub' }));
    const held = await poll(core, { work_path: '/repo/sub' });
    await core.completeTask(completionOf(alone));
    expect(prompts((await held.answer).tasks)).toEqual(['sub']);
  });

  test(
    'a poll that was held behind an exclusive task goes on when that is cancelled',
    { timeout: PROMPTLY },
    async () => {
      const { core } = await engine.open();
      await core.createTask(aTask({ work_directory: '/repo/a' }));
      await take(core, { work_path: '/repo/a' });
      const alone = await core.createTask(aTask({ exclusive: true }));
      await core.createTask(aTask({ work_directory: '/repo/b', prompt: 'b' }));
      const held = await poll(core, { work_path: '/repo/b' });
      await core.cancelTask(cancelOf(alone));
      expect(prompts((await held.answer).tasks)).toEqual(['b']);
    },
  );

  test('a poll that was held goes on when a pause or a limit is lifted', { timeout: PROMPTLY }, async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    await core.setPath(aSetting('/repo', { paused: true }));
    const paused = await poll(core);
    await core.setPath(aSetting('/repo', { paused: false, max_concurrent: 1 }));
    expect((await paused.answer).tasks).toHaveLength(1);
    await core.createTask(aTask());
    const limited = await poll(core);
    await core.setPath(aSetting('/repo', { max_concurrent: 2 }));
    expect((await limited.answer).tasks).toHaveLength(1);
  });

  test('a poll that was held by the system-wide limit goes on with the next end', { timeout: PROMPTLY }, async () => {
    const { core } = await engine.open({ task: { maxConcurrentTasks: 1 } });
    await core.createTask(aTask({ work_directory: '/a' }));
    await core.createTask(aTask({ work_directory: '/b' }));
    const first = await take(core, { work_path: '/a' });
    const held = await poll(core, { work_path: '/b' });
    await core.completeTask(completionOf(first));
    expect((await held.answer).tasks).toHaveLength(1);
  });

  test('a poll whose time is up answers with nothing and why', async () => {
    const { core } = await engine.open();
    expect(await core.acquireTasks(anAcquire({ wait_seconds: 0.01 }))).toMatchObject({ tasks: [], reason: 'empty' });
    expect(core.gauges().acquire_waiters).toBe(0);
  });

  test('a caller that went away leaves no lease behind', { timeout: PROMPTLY }, async () => {
    const { core } = await engine.open();
    const caller = new AbortController();
    const task = await core.createTask(aTask());
    const gone = core.acquireTasks(anAcquire({ wait_seconds: 30 }), caller.signal);
    const next = core.acquireTasks(anAcquire({ worker_id: 'next', wait_seconds: 30 }));
    caller.abort();
    expect((await gone).tasks).toEqual([]);
    expect((await next).tasks).toMatchObject([{ task_id: task.task_id, attempt: 1 }]);
  });

  test('a waiting caller that goes away takes nothing with it', { timeout: PROMPTLY }, async () => {
    const { core } = await engine.open();
    const caller = new AbortController();
    const gone = await poll(core, {}, caller.signal);
    caller.abort();
    expect((await gone.answer).tasks).toEqual([]);
    const task = await core.createTask(aTask());
    expect(await statusOf(core, task)).toBe('waiting');
    expect(core.gauges().acquire_waiters).toBe(0);
  });

  test('a core that drains answers every poll', { timeout: PROMPTLY }, async () => {
    const { core } = await engine.open();
    const polls = [await poll(core), await poll(core, { work_path: undefined })];
    core.drain();
    for (const { answer } of polls) expect((await answer).tasks).toEqual([]);
    expect((await core.acquireTasks(anAcquire({ wait_seconds: 30 }))).tasks).toEqual([]);
  });
});

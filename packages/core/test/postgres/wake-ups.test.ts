import type { Core } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { aTask, anAcquire, cancelOf, completionOf, take } from '../builders.ts';
import { withClient } from '../postgres-server.ts';
import { openReplicas, until } from './replicas.ts';

/** Below the five seconds after which everyone looks for themselves. */
const PROMPTLY = 4_000;

/** A long poll that waits already. */
async function poll(
  core: Core,
  acquire: Parameters<typeof anAcquire>[0] = {},
): Promise<{ answer: ReturnType<Core['acquireTasks']> }> {
  const waiting = core.gauges().acquire_waiters;
  const answer = core.acquireTasks(anAcquire({ wait_seconds: 30, ...acquire }));
  await until('the poll waits', () => core.gauges().acquire_waiters > waiting);
  return { answer };
}

/** Both listen: a task goes each way. */
async function openPair(): Promise<{ url: string; a: Core; b: Core }> {
  const { url, cores } = await openReplicas(2);
  const [a, b] = cores as [Core, Core];
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const { answer } = await poll(to);
    await from.createTask(aTask());
    await to.completeTask(completionOf((await answer).tasks[0]!));
  }
  return { url, a, b };
}

test('a task created on one server reaches a worker that long-polls on another', { timeout: 30_000 }, async () => {
  const { a, b } = await openPair();
  const delays: number[] = [];
  for (let round = 0; round < 60; round++) {
    const { answer } = await poll(b);
    const began = performance.now();
    const created = await a.createTask(aTask());
    const acknowledged = performance.now();
    const [task] = (await answer).tasks;
    delays.push(performance.now() - acknowledged);
    expect(task!.task_id).toBe(created.task_id);
    expect(performance.now() - began).toBeLessThan(PROMPTLY);
    await b.completeTask(completionOf(task!));
  }
  delays.sort((x, y) => x - y);
  console.log(
    `acknowledged on one server, acquired on another: p50 ${delays[30]!.toFixed(1)} ms, p90 ${delays[54]!.toFixed(1)} ms`,
  );
  expect(delays[30]).toBeLessThan(250);
});

test('a poll that is held on one server goes on when another has freed the path', { timeout: PROMPTLY }, async () => {
  const { a, b } = await openPair();
  await a.createTask(aTask({ exclusive: true }));
  const alone = await take(a);
  const next = await a.createTask(aTask({ work_directory: '/repo/sub' }));
  const { answer } = await poll(b, { work_path: '/repo/sub' });
  await a.completeTask(completionOf(alone));
  expect((await answer).tasks).toMatchObject([{ task_id: next.task_id }]);
});

test('whoever waits for a task on one server hears of its end on another', { timeout: PROMPTLY }, async () => {
  const { a, b } = await openPair();
  const task = await a.createTask(aTask());
  const done = b.waitForTasks({ task_ids: [task.task_id], until: 'all', wait_seconds: 30 });
  await a.cancelTask(cancelOf(task));
  expect(await done).toMatchObject({ done: true, finished: [{ status: 'cancelled' }] });
});

test('a task scheduled on one server is made ready when its server is gone', { timeout: PROMPTLY }, async () => {
  const { url, cores } = await openReplicas(2, { background: false });
  const [gone, survivor] = cores as [Core, Core];
  await gone.createTask(aTask({ run_at: new Date(Date.now() + 300).toISOString() }));
  await until('the time has come', async () => {
    const { rows } = await withClient(url, (client) =>
      client.query('SELECT run_at <= extract(epoch FROM clock_timestamp()) * 1000 AS is_due FROM tasks'),
    );
    return rows[0].is_due as boolean;
  });
  await survivor.tick();
  expect((await survivor.acquireTasks(anAcquire())).tasks).toHaveLength(1);
});

test('notices that are lost with their connection are made up for', { timeout: 20_000 }, async () => {
  const { url, a, b } = await openPair();
  for (let round = 0; round < 3; round++) {
    const { answer } = await poll(b);
    const waiting = await a.createTask(aTask({ work_directory: '/other' }));
    const ended = b.waitForTasks({ task_ids: [waiting.task_id], until: 'all', wait_seconds: 30 });
    // No notice reaches anyone until the listeners are back.
    await withClient(url, (client) =>
      client.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'task-orchestrator listener' AND datname = current_database()",
      ),
    );
    await Promise.all([a.createTask(aTask()), a.cancelTask(cancelOf(waiting))]);
    await b.completeTask(completionOf((await answer).tasks[0]!));
    expect((await ended).done).toBe(true);
  }
});

import type { Core } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { aBatchTask, anAcquire, listOf, refused } from '../builders.ts';
import { withClient } from '../postgres-server.ts';
import { openReplicas } from './replicas.ts';

const COUNT = 450;

async function openWithTasks(): Promise<{ url: string; cores: Core[]; ids: string[] }> {
  const { url, cores } = await openReplicas(3, { background: false });
  const tasks = Array.from({ length: COUNT }, (_, index) => aBatchTask({ work_directory: `/r/${index % 7}` }));
  const created = await cores[0]!.createTasks({ tasks });
  return { url, cores, ids: created.tasks.map(({ task_id }) => task_id) };
}

const change = (url: string, sql: string): Promise<unknown> => withClient(url, (client) => client.query(sql));

async function countEvents(url: string, type: string): Promise<{ tasks: number; events: number }> {
  const { rows } = await withClient(url, (client) =>
    client.query('SELECT count(DISTINCT task_seq)::int AS tasks, count(*)::int AS events FROM events WHERE type = $1', [
      type,
    ]),
  );
  return rows[0] as { tasks: number; events: number };
}

test('servers that sweep at once take each lease back once', { timeout: 30_000 }, async () => {
  const { url, cores } = await openWithTasks();
  await cores[0]!.acquireTasks(anAcquire({ work_path: '/r', subtree: true, limit: COUNT }));
  await change(url, 'UPDATE tasks SET lease_expires_at = 1');
  await Promise.all(cores.map((core) => core.tick()));
  expect(await countEvents(url, 'lease_lost')).toEqual({ tasks: COUNT, events: COUNT });
  expect((await cores[1]!.getStatistics()).tasks).toMatchObject({ waiting: COUNT, working: 0 });
});

test('servers that promote at once make each due task ready once', { timeout: 30_000 }, async () => {
  const { url, cores } = await openWithTasks();
  await change(url, "UPDATE tasks SET status = 'scheduled', run_at = 1");
  await Promise.all(cores.map((core) => core.tick()));
  expect(await countEvents(url, 'ready')).toEqual({ tasks: COUNT, events: COUNT });
});

test('servers that remove at once remove all that is old, and nothing else', { timeout: 30_000 }, async () => {
  const { url, cores, ids } = await openWithTasks();
  await change(url, `UPDATE tasks SET status = 'completed', finished_at = 1 WHERE task_id <> '${ids[7]}'`);
  await Promise.all(cores.map((core) => core.tick()));
  const left = (await cores[2]!.listTasks(listOf({ limit: 10 }))).tasks.map(({ task_id }) => task_id);
  // The newest keeps its place in the order.
  expect(left).toEqual([ids.at(-1), ids[7]]);
});

test(
  'a task that is brought back while old ones are removed is there, or its caller was told that it is not',
  { timeout: 30_000 },
  async () => {
    const { url, cores, ids } = await openWithTasks();
    await change(url, "UPDATE tasks SET status = 'failed', finished_at = 1");
    const [outcomes] = await Promise.all([
      Promise.allSettled(ids.map((task_id) => cores[0]!.retryTask({ task_id }))),
      cores[1]!.tick(),
      cores[2]!.tick(),
    ]);
    for (const [index, outcome] of outcomes.entries()) {
      const task = cores[0]!.getTask({ task_id: ids[index]! });
      if (outcome.status === 'fulfilled') expect((await task).status).toBe('waiting');
      else await refused('TASK_NOT_FOUND', task);
    }
  },
);

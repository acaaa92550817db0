import type { AcquiredTask } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { overlaps } from '../../src/domain/path-tree.ts';
import { aBatchTask, aSetting, aTask, anAcquire, completionOf, listOf } from '../builders.ts';
import { openReplicas, until } from './replicas.ts';

const WORKERS = 12;

/**
 * Workers on all servers take and complete until nothing is left. `check` sees each task that was taken beside those
 * that are held for certain: from the answer of its acquisition until its completion is sent.
 */
async function hammer(
  cores: readonly Core[],
  total: number,
  check: (task: AcquiredTask, held: readonly AcquiredTask[]) => void,
): Promise<void> {
  const held = new Set<AcquiredTask>();
  const taken: string[] = [];
  const work = async (worker: number): Promise<void> => {
    const core = cores[worker % cores.length]!;
    while (taken.length < total) {
      const { tasks } = await core.acquireTasks(
        anAcquire({
          worker_id: `w${worker}`,
          work_path: '/r',
          subtree: true,
          limit: 1 + (worker % 3),
          wait_seconds: 0.05,
        }),
      );
      for (const task of tasks) {
        taken.push(task.task_id);
        check(task, [...held]);
        held.add(task);
      }
      // One turn of the event loop: others get in between.
      await new Promise((resolve) => setImmediate(resolve));
      for (const task of tasks) {
        held.delete(task);
        await core.completeTask(completionOf(task));
      }
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
  expect(new Set(taken).size).toBe(total);
  expect(taken).toHaveLength(total);
}

async function createMany(
  core: Core,
  count: number,
  describe: (index: number) => Parameters<typeof aBatchTask>[0],
): Promise<void> {
  await core.createTasks({ tasks: Array.from({ length: count }, (_, index) => aBatchTask(describe(index))) });
}

const DIRECTORIES = ['/r', '/r/a', '/r/a/x', '/r/a/y', '/r/b', '/r/b/x', '/r2'];

test('a task is handed out once, whichever servers are asked', { timeout: 30_000 }, async () => {
  const { cores } = await openReplicas(3);
  await createMany(cores[0]!, 300, (index) => ({ work_directory: `/r/${index % 10}` }));
  await hammer(cores, 300, () => undefined);
  expect((await cores[1]!.listTasks(listOf({ status: 'completed', limit: 1 }))).total).toBe(300);
});

test('an exclusive task has its tree for itself, over all servers', { timeout: 60_000 }, async () => {
  const { cores } = await openReplicas(3);
  await createMany(cores[0]!, 150, (index) => ({
    work_directory: DIRECTORIES[index % 6]!,
    exclusive: index % 4 === 0,
    priority: (['low', 'medium', 'high'] as const)[index % 3]!,
  }));
  await hammer(cores, 150, (task, held) => {
    const conflicts = held.filter(
      (other) => (task.exclusive || other.exclusive) && overlaps(task.work_directory, other.work_directory),
    );
    expect(conflicts).toEqual([]);
  });
});

test('the limit of a path holds over all servers', { timeout: 60_000 }, async () => {
  const { cores } = await openReplicas(3);
  await cores[0]!.setPath(aSetting('/r/a', { max_concurrent: 2 }));
  await createMany(cores[1]!, 120, (index) => ({ work_directory: DIRECTORIES[1 + (index % 4)]! }));
  let most = 0;
  await hammer(cores, 120, (task, held) => {
    const around = [...held, task].filter(({ work_directory }) => overlaps(work_directory, '/r/a')).length;
    most = Math.max(most, around);
  });
  expect(most).toBeLessThanOrEqual(2);
});

test('the limit of the whole system holds over all servers', { timeout: 60_000 }, async () => {
  const { cores } = await openReplicas(3, { task: { maxConcurrentTasks: 3 } });
  await createMany(cores[0]!, 120, (index) => ({ work_directory: DIRECTORIES[index % 6]! }));
  let most = 0;
  await hammer(cores, 120, (_task, held) => (most = Math.max(most, held.length + 1)));
  expect(most).toBeLessThanOrEqual(3);
});

test('a pause holds on every server from the moment it is acknowledged', { timeout: 30_000 }, async () => {
  const { cores } = await openReplicas(2, { background: false });
  await createMany(cores[0]!, 20, () => ({ work_directory: '/r/a' }));
  // Without background work nobody tells the second server anything.
  await cores[1]!.createTask(aTask({ work_directory: '/r/a' }));
  expect((await cores[1]!.acquireTasks(anAcquire({ work_path: '/r/a' }))).tasks).toHaveLength(1);
  await cores[0]!.setPath(aSetting('/r', { paused: true }));
  expect(await cores[1]!.acquireTasks(anAcquire({ work_path: '/r/a' }))).toMatchObject({ tasks: [], reason: 'paused' });
  await cores[0]!.setPath(aSetting('/r', { paused: false, max_concurrent: 2 }));
  expect((await cores[1]!.acquireTasks(anAcquire({ work_path: '/r/a', limit: 5 }))).tasks).toHaveLength(1);
});

test('one idempotency key sent to two servers at once is one task', { timeout: 30_000 }, async () => {
  const { cores } = await openReplicas(2);
  const keys = Array.from({ length: 50 }, (_, index) => `key-${index}`);
  const created = await Promise.all(
    keys.flatMap((idempotency_key) => cores.map((core) => core.createTask(aTask({ idempotency_key })))),
  );
  expect(new Set(created.map(({ task_id }) => task_id)).size).toBe(50);
  expect((await cores[0]!.listTasks(listOf())).total).toBe(50);
});

test('one acquire_id sent to two servers at once takes once', { timeout: 30_000 }, async () => {
  const { cores } = await openReplicas(2, { task: { maxConcurrentTasks: 100 } });
  await createMany(cores[0]!, 60, () => ({ work_directory: '/r' }));
  // The second server has heard of the tasks.
  await until(
    'a task for the second',
    async () => (await cores[1]!.acquireTasks(anAcquire({ work_path: '/r' }))).tasks[0],
  );
  for (let round = 0; round < 20; round++) {
    const ask = { work_path: '/r', acquire_id: `acquire-${round}` };
    const [a, b] = await Promise.all(cores.map((core) => core.acquireTasks(anAcquire(ask))));
    expect(a!.tasks.map(({ task_id }) => task_id)).toEqual(b!.tasks.map(({ task_id }) => task_id));
  }
});

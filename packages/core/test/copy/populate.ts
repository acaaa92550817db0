import { randomInt } from 'node:crypto';
import type { AcquiredTask } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import {
  aBatchTask,
  aSetting,
  aTask,
  anAcquire,
  cancelOf,
  completionOf,
  failureOf,
  heartbeatOf,
  logOf,
} from '../builders.ts';

const pick = <Item>(items: readonly Item[]): Item => items[randomInt(items.length)]!;
const TEXTS = [
  'plain',
  'naïve — “quoted”',
  '日本語',
  '🙂\n\ttab',
  '{"json":"\\u0000"}',
  "it's; -- not SQL",
  'x'.repeat(1_000),
];
const DIRECTORIES = ['/a', '/a/b', '/a/b c', '/z', 'C:/win'];

export async function addSettings(core: Core): Promise<void> {
  await core.setPath(aSetting('/a', { weight: 2.5, max_concurrent: 50 }));
  await core.setPath(aSetting('/paused', { paused: true }));
  await core.keys.insert({ name: 'admin', roles: ['admin'], path_prefixes: [], hash: 'the hash of a key' });
}

/** Does a bit of everything, on several servers at once where there are. Answers the tasks that are still held. */
export async function populate(cores: readonly Core[], rounds: number): Promise<AcquiredTask[]> {
  const held = await Promise.all(cores.map((core, index) => work(core, `worker ${index} é`, rounds)));
  return held.flat();
}

async function work(core: Core, worker_id: string, rounds: number): Promise<AcquiredTask[]> {
  const held: AcquiredTask[] = [];
  for (let round = 0; round < rounds; round++) {
    await Promise.all(
      Array.from({ length: 1 + randomInt(4) }, () => createOne(core, `${worker_id} ${round} ${randomInt(1e9)}`)),
    );
    if (randomInt(3) === 0) await createChain(core);
    const { tasks } = await core.acquireTasks(
      anAcquire({
        worker_id,
        work_path: undefined,
        limit: 1 + randomInt(3),
        lease_seconds: 600,
        acquire_id: `${worker_id} ${round}`,
      }),
    );
    for (const task of tasks) if (!(await settle(core, task))) held.push(task);
  }
  return held;
}

async function createOne(core: Core, idempotency_key: string): Promise<void> {
  await core.createTask(
    aTask({
      // An exclusive task that is never ended keeps others off only where nothing else is.
      ...(randomInt(10) === 0
        ? { work_directory: '/exclusive', exclusive: true }
        : { work_directory: pick(DIRECTORIES) }),
      prompt: pick(TEXTS),
      priority: pick(['low', 'medium', 'high']),
      tags: pick([[], ['gpu'], ['a', 'ü']]),
      metadata: pick([{}, { text: pick(TEXTS), nested: { list: [1, 2.5, null, true] } }]),
      ...(randomInt(2) === 0 && { idempotency_key }),
      ...(randomInt(6) === 0 && { run_at: '2099-01-01T00:00:00.000Z' }),
    }),
  );
}

async function createChain(core: Core): Promise<void> {
  const tasks = ['one', 'two', 'three'].map((ref, index, refs) =>
    aBatchTask({ ref, depends_on: refs.slice(0, index), work_directory: pick(DIRECTORIES) }),
  );
  const created = await core.createTasks({ tasks });
  if (randomInt(2) === 0) await core.cancelTask(cancelOf(created.tasks[0]!, { reason: pick(TEXTS) }));
}

/** Answers whether the lease has been ended. */
async function settle(core: Core, task: AcquiredTask): Promise<boolean> {
  if (randomInt(2) === 0) await core.appendLog(logOf(task, pick(TEXTS), pick(TEXTS)));
  const progress = { percent: 50, message: pick(TEXTS) };
  switch (randomInt(5)) {
    case 0:
      await core.failTask(failureOf(task, { retryable: randomInt(2) === 0, error: { message: pick(TEXTS) } }));
      return true;
    case 1:
      await core.releaseTask({ task_id: task.task_id, lease_token: task.lease_token, reason: pick(TEXTS) });
      return true;
    case 2:
      await core.heartbeat(heartbeatOf(task, { progress }));
      return false;
    default:
      await core.completeTask(completionOf(task, { result: { output: pick(TEXTS), duration: 1.25 } }));
      return true;
  }
}

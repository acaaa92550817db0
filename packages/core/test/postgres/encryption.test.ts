import { reencryptDatabase } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { aBatchTask, aTask, anAcquire, completionOf, listOf } from '../builders.ts';
import { aKey, keys, query } from '../encryption/raw.ts';
import { takeTestDatabase } from '../test-database.ts';
import { openReplica } from './replicas.ts';

test('servers change their key one by one, and each reads at all times what the others write', async () => {
  const url = await takeTestDatabase();
  const [old, next] = [aKey(), aKey()];
  const servers = await Promise.all([
    openReplica(url, { encryption: keys(old) }),
    openReplica(url, { encryption: keys(old) }),
  ]);
  const steps = [keys(old, next), keys(old, next), keys(next, old), keys(next, old)];
  for (const [step, encryption] of steps.entries()) {
    const { core } = servers[step % 2]!;
    const written = await core.createTask(aTask({ prompt: `before step ${step}`, idempotency_key: `${step}` }));
    await servers[step % 2]!.close();
    servers[step % 2] = await openReplica(url, { encryption });
    for (const server of servers) {
      expect((await server.core.getTask(written)).prompt).toBe(`before step ${step}`);
      const repeated = await server.core.createTask(
        aTask({ prompt: `before step ${step}`, idempotency_key: `${step}` }),
      );
      expect(repeated.task_id).toBe(written.task_id);
    }
  }
  await reencryptDatabase({ database: servers[0]!.database, encryption: keys(next, old) });
  for (const server of servers) await server.close();
  const { core } = await openReplica(url, { encryption: keys(next) });
  expect((await core.listTasks(listOf())).tasks).toHaveLength(4);
});

test('everything comes under the new key while servers work, and nothing of their work is lost', async () => {
  const url = await takeTestDatabase();
  const [old, next] = [aKey(), aKey()];
  const before = await openReplica(url, { encryption: keys(old) });
  await before.core.createTasks({
    tasks: Array.from({ length: 600 }, (_, index) => aBatchTask({ prompt: `${index}` })),
  });
  await before.close();
  const servers = [
    await openReplica(url, { encryption: keys(next, old) }),
    await openReplica(url, { encryption: keys(next, old) }),
  ];
  let isDone = false;
  const working = servers.map(async ({ core }) => {
    let completed = 0;
    while (!isDone || completed === 0) {
      const { tasks } = await core.acquireTasks(anAcquire({ limit: 5 }));
      await Promise.all(
        tasks.map((task) =>
          core.completeTask(completionOf(task, { result: { output: task.prompt }, original_prompt: task.prompt })),
        ),
      );
      completed += tasks.length;
      if (tasks.length === 0) await core.createTask(aTask({ prompt: 'another' }));
    }
    return completed;
  });
  const { rows } = await reencryptDatabase({ database: servers[0]!.database, encryption: keys(next, old) });
  isDone = true;
  const completed = (await Promise.all(working)).reduce((total, count) => total + count, 0);
  expect(rows.tasks).toBe(600);
  for (const server of servers) expect(server.errors).toEqual([]);
  for (const server of servers) await server.close();

  const { core } = await openReplica(url, { encryption: keys(next) });
  let seen = 0;
  for (let cursor: string | undefined; ;) {
    const page = await core.listTasks(
      listOf({ status: 'completed', limit: 100, ...(cursor !== undefined && { cursor }) }),
    );
    for (const { prompt, result } of page.tasks) expect(result).toMatchObject({ output: prompt });
    seen += page.tasks.length;
    if (page.next_cursor === null) break;
    cursor = page.next_cursor;
  }
  expect(seen).toBe(completed);
});

test('a server that still writes under the old key has it demanded again', async () => {
  const url = await takeTestDatabase();
  const [old, next] = [aKey(), aKey()];
  const late = await openReplica(url, { encryption: keys(old, next) });
  await reencryptDatabase({ database: late.database, encryption: keys(next, old) });
  const { core } = await openReplica(url, { encryption: keys(next) });
  const written = await core.createTask(aTask({ prompt: 'new' }));
  expect((await late.core.getTask(written)).prompt).toBe('new');
  await late.core.tick();
  await expect(openReplica(url, { encryption: keys(next) })).rejects.toThrow(/encrypted under key/);
  expect(await query(late.database, 'SELECT key_id FROM encryption_keys')).toHaveLength(2);
});

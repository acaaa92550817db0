import { UnauthorizedError, type Client } from '@task-orchestrator/client';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgres } from '../packages/core/test/postgres-server.ts';
import { ServerProcess } from './support/server-process.ts';
import { until } from './support/until.ts';

const WITHIN_MS = 5_000;

/** How long it took until something was refused for want of a valid key. */
async function untilRefused(doing: Promise<unknown>, since: number): Promise<number> {
  await expect(doing).rejects.toBeInstanceOf(UnauthorizedError);
  return performance.now() - since;
}

async function readAll(client: Client, onOpen: () => void): Promise<void> {
  for await (const _event of client.events.stream({}, { onOpen })) continue;
}

test('a key that one server revokes is worth nothing on another within five seconds, nor is what is open under it', async () => {
  const postgres = await startPostgres();
  onTestFinished(() => postgres.stop());
  const env = { APP_DATABASE_URL: await postgres.createDatabase() };
  const [here, there] = await Promise.all([ServerProcess.start(env), ServerProcess.start(env)]);
  const admin = here.client();

  const { key_id, secret } = await admin.keys.create({ name: 'a worker', roles: ['worker'], path_prefixes: ['/keys'] });
  const worker = there.client({ apiKey: secret });
  await admin.tasks.create({ work_directory: '/keys/a', prompt: 'within' });
  await admin.tasks.create({ work_directory: '/elsewhere', prompt: 'outside' });
  const { tasks } = await worker.tasks.acquire({ worker_id: 'w', limit: 10 });
  expect(tasks.map(({ prompt }) => prompt)).toEqual(['within']);

  const isOpen = Promise.withResolvers<void>();
  const stream = readAll(worker, isOpen.resolve);
  const poll = worker.tasks.acquire({ worker_id: 'w', wait_seconds: 60 });
  await isOpen.promise;
  await until('the poll waits', async () => (await there.text('/metrics')).includes('\nacquire_waiters 1'));

  await admin.keys.revoke({ key_id });
  const since = performance.now();
  const calls = until('a call is refused', () =>
    worker.tasks.get({ task_id: tasks[0]!.task_id }).then(
      () => false,
      (error: unknown) => error instanceof UnauthorizedError,
    ),
  ).then(() => performance.now() - since);
  const took = await Promise.all([calls, untilRefused(stream, since), untilRefused(poll, since)]);
  console.log(`refused after ${took.map((ms) => Math.round(ms)).join(', ')} ms (call, stream, long poll)`);
  expect(Math.max(...took)).toBeLessThan(WITHIN_MS);
});

import { createTRPCClient, httpLink } from '@trpc/client';
import { expect, expectTypeOf, test } from 'vitest';
import { startFakeServer } from '../test/fake-server.ts';
import type { Task } from './index.ts';
import type { AppRouter } from './trpc.ts';

test('AppRouter types a tRPC client of one’s own', async () => {
  const server = await startFakeServer({ 'tasks.get': ({ task_id }: { task_id: string }) => ({ task_id }) });
  const trpc = createTRPCClient<AppRouter>({ links: [httpLink({ url: `${server.url}/trpc` })] });
  const task: Task = await trpc.tasks.get.query({ task_id: 'a' });
  expectTypeOf(trpc.tasks.create.mutate).parameter(0).toHaveProperty('prompt');
  expectTypeOf(trpc.events.stream).toHaveProperty('subscribe');
  expect(task.task_id).toBe('a');
  await server.close();
});

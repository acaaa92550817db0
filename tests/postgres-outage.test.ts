import type { Task } from '@task-orchestrator/client';
import { expect, onTestFinished, test } from 'vitest';
import { startPostgres } from '../packages/core/test/postgres-server.ts';
import { runServer, ServerProcess } from './support/server-process.ts';
import { until } from './support/until.ts';

test('while PostgreSQL is away REST says so with Retry-After, and serves again by itself', async () => {
  const postgres = await startPostgres();
  onTestFinished(() => postgres.stop());
  const server = await ServerProcess.start({ APP_DATABASE_URL: await postgres.createDatabase() });
  const draft = { work_directory: '/outage', prompt: 'before' };
  const { body } = await server.request<Task>('POST', '/api/v1/tasks', draft);
  await postgres.crashAndRestart(async () => {
    for (const [method, path, content] of [
      ['POST', '/api/v1/tasks', draft],
      ['GET', `/api/v1/tasks/${body.data.task_id}`],
      ['GET', '/api/v1/tasks/next?work_path=/outage&worker_id=w'],
    ] as const) {
      const refused = await server.request(method, path, content);
      expect(refused).toMatchObject({ status: 503, body: { success: false, error: { code: 'UNAVAILABLE' } } });
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    // Health is asked often, so its answers are good for a moment.
    await until('not ready', async () => (await server.request('GET', '/health/ready')).status === 503);
    expect((await server.request('GET', '/health/live')).status).toBe(200);
  });
  await until('ready again', async () => (await server.request('GET', '/health/ready')).status === 200);
  const { status, body: next } = await server.request<Task>('GET', '/api/v1/tasks/next?work_path=/outage&worker_id=w');
  expect(status).toBe(200);
  expect(next.data.task_id).toBe(body.data.task_id);
});

test('a server that finds no PostgreSQL waits for it as long as it was told to, and then says so in one line', async () => {
  const ending = await runServer({
    APP_DATABASE_URL: 'postgres://nobody:secret@127.0.0.1:1/nothing',
    APP_DATABASE_CONNECTION_TIMEOUT: '1',
  });
  expect(ending).toMatchObject({ exitCode: 1 });
  expect(ending.errors).toMatch(
    /^PostgreSQL at 127\.0\.0\.1:1\/nothing cannot be reached within 1 s: [^\n]*ECONNREFUSED[^\n]*\n$/,
  );
  expect(ending.seconds).toBeGreaterThan(1);
});

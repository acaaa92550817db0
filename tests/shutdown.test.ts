import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { AcquiredTask, Task } from '@task-orchestrator/client';
import { expect, test } from 'vitest';
import { readTasks } from './support/all-tasks.ts';
import { API_KEY, ServerProcess } from './support/server-process.ts';
import { until } from './support/until.ts';

/** Of the spec; what waits must be let go long before. */
const END_WITHIN_SECONDS = 10;
const AT_ONCE_SECONDS = 5;

test('SIGTERM answers the long polls, ends the streams, and loses no create that it acknowledged', async () => {
  const server = await ServerProcess.startOnKeptPort();
  const client = server.client({ retry: false });
  const { task_id } = await client.tasks.create({ work_directory: '/never-done', prompt: 'to be waited for' });
  await client.tasks.acquire({ work_path: '/never-done', worker_id: 'idle' });

  const nothing = { work_path: '/nothing', worker_id: 'poller', wait_seconds: 60 };
  const polls = [
    server.request<{ tasks: AcquiredTask[] }>('POST', '/api/v1/tasks/acquire', nothing),
    server.request<{ tasks: AcquiredTask[] }>('POST', '/api/v1/tasks/acquire', { ...nothing, work_path: '/elsewhere' }),
  ];
  const next = server.request('GET', '/api/v1/tasks/next?work_path=/nothing&worker_id=poller&wait_seconds=60');
  const sdkPoll = client.tasks.acquire(nothing);
  const wait = client.tasks.wait({ task_ids: [task_id], wait_seconds: 60 });
  const sse = await openStream(server, '/api/v1/events');
  const subscription = await openStream(server, `/trpc/events.stream?input=${encodeURIComponent('{}')}`);
  await until('four waiting polls', async () => /^acquire_waiters 4$/m.test(await server.text('/metrics')));

  const producers = Array.from({ length: 8 }, (_, index) => createUntilRefused(server, `/producer-${index}`));
  await until('creates under way', async () => (await client.stats.get()).total_tasks > 50);
  const ending = await server.stop();
  expect(ending).toMatchObject({ exitCode: 0, signal: null });
  expect(ending.seconds).toBeLessThan(AT_ONCE_SECONDS);

  for (const { status, body } of await Promise.all(polls)) expect([status, body.data.tasks]).toEqual([200, []]);
  expect(await next).toMatchObject({ status: 200, body: { success: true, data: null } });
  expect((await sdkPoll).tasks).toEqual([]);
  expect(await wait).toEqual({ done: false, finished: [], pending: [task_id] });
  expect(await sse.rest).not.toContain('error');
  await subscription.rest;
  const acknowledged = (await Promise.all(producers)).flat();

  await server.start();
  const tasks = await readTasks(server.client());
  expect(acknowledged.length).toBeGreaterThan(50 - 1);
  expect(acknowledged.filter((id) => !tasks.has(id))).toEqual([]);
  // And work goes on.
  await server.client().tasks.create({ work_directory: '/nothing', prompt: 'after the restart' });
  await expect(server.client().tasks.acquire({ ...nothing, wait_seconds: 0 })).resolves.toMatchObject({ tasks: [{}] });
});

test('clients that neither send nor read cannot keep the server from ending in time', async () => {
  const server = await ServerProcess.start();
  const body = JSON.stringify({ work_directory: '/slow', prompt: 'half of it' });
  const head = `POST /api/v1/tasks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const sockets = await Promise.all(
    ['', 'GET /health HTTP/1.1\r\n', head, head + body.slice(0, 10)].map((text) => sendText(server, text)),
  );
  const stream = await sendText(
    server,
    `GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\n\r\n`,
  );
  stream.pause();
  await until('their connections', async () => (await server.client().health.get()).metrics.active_connections >= 5);

  const ending = await server.stop();
  expect(ending).toMatchObject({ exitCode: 0, signal: null });
  expect(ending.seconds).toBeLessThan(END_WITHIN_SECONDS);
  for (const socket of [...sockets, stream]) socket.destroy();

  await server.start();
  await expect(server.client().tasks.list({ work_directory: '/slow' })).resolves.toMatchObject({ total: 0 });
});

test('a request that was half sent at SIGTERM is answered for good, or not at all', async () => {
  const server = await ServerProcess.start();
  const body = JSON.stringify({ work_directory: '/half', prompt: 'in two halves' });
  const head = `POST /api/v1/tasks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
  const socket = await sendText(server, head + body.slice(0, 20));
  const waiting = server.request('GET', '/api/v1/tasks/next?work_path=/none&worker_id=w&wait_seconds=60');
  await until('the poll', async () => /^acquire_waiters 1$/m.test(await server.text('/metrics')));
  const stopping = server.stop();
  // The server has begun to end when it has let the poll go.
  await waiting;
  socket.write(body.slice(20));
  const answer = await readAll(socket);
  expect(await stopping).toMatchObject({ exitCode: 0 });

  await server.start();
  const { tasks } = await server.client().tasks.list({ work_directory: '/half' });
  if (answer.startsWith('HTTP/1.1 200')) expect(tasks.map(({ prompt }) => prompt)).toEqual(['in two halves']);
  else expect([answer.startsWith('HTTP/1.1 503') || answer === '', tasks.length <= 1]).toEqual([true, true]);
});

test('a server whose log nobody reads any more goes on, and ends in time', async () => {
  const server = await ServerProcess.start({ APP_LOGGING_LEVEL: 'debug' });
  server.closeLog();
  for (let index = 0; index < 20; index++) {
    await server.client().tasks.create({ work_directory: '/unheard', prompt: `task ${index}` });
  }
  const ending = await server.stop();
  expect(ending).toMatchObject({ exitCode: 0, signal: null });
  expect(ending.seconds).toBeLessThan(AT_ONCE_SECONDS);
});

/** Creates one task after the other until the server does not answer any more; answers the acknowledged ones. */
async function createUntilRefused(server: ServerProcess, work_directory: string): Promise<string[]> {
  const acknowledged: string[] = [];
  for (;;) {
    const draft = { work_directory, prompt: `${acknowledged.length}` };
    const answer = await server.request<Task>('POST', '/api/v1/tasks', draft).catch(() => null);
    if (answer?.status !== 200) {
      expect(answer?.status ?? 503).toBe(503);
      return acknowledged;
    }
    acknowledged.push(answer.body.data.task_id);
  }
}

/** A stream that stands; `rest` is what comes until the server ends it, and rejects when it breaks off. */
async function openStream(server: ServerProcess, path: string): Promise<{ rest: Promise<string> }> {
  const headers = { authorization: `Bearer ${API_KEY}`, accept: 'text/event-stream' };
  const response = await fetch(`${server.url}${path}`, { headers });
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    expect.stringContaining('text/event-stream'),
  ]);
  return { rest: response.text() };
}

async function sendText({ port }: ServerProcess, text: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (text !== '') socket.write(text);
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let text = '';
  for await (const chunk of socket.setEncoding('utf8')) text += String(chunk);
  return text;
}

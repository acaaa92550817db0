import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../../../../tests/support/until.ts';
import { KEY, startApp } from '../start-app.ts';
import { connectAgent, mcpCommand, STDIO_KINDS } from './agents.ts';

const work_directory = '/srv/repo';

/** A process that speaks the protocol on its pipes, and what it has said. */
function start(args: readonly string[]) {
  const [command = '', ...rest] = mcpCommand(args);
  const child = spawn(command, rest, { env: { PATH: process.env['PATH'] }, stdio: ['pipe', 'pipe', 'pipe'] });
  const said: { id?: unknown; method?: string; result?: unknown; error?: unknown }[] = [];
  const complaints: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => said.push(JSON.parse(line)));
  child.stderr.on('data', (text) => complaints.push(String(text)));
  onTestFinished(() => end(child));
  return {
    child,
    said,
    complaints,
    send: (message: object) => void child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`),
    answerTo: (id: number) => until(`an answer to ${id}`, () => said.find((message) => message.id === id)),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

const initialize = {
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};
const acquire = (id: number) => ({
  id,
  method: 'tools/call',
  params: { name: 'acquire_task', arguments: { work_path: work_directory, wait_seconds: 50 } },
});

test('a call that is taken back over the bridge ends at once, and so does one whose agent has died', async () => {
  const { url, core } = await startApp();
  const { child, send, said, answerTo } = start(['--url', url, '--api-key', KEY]);
  send({ id: 1, ...initialize });
  await answerTo(1);
  send(acquire(2));
  await until('the wait', () => core.gauges().acquire_waiters === 1);
  send({ method: 'notifications/cancelled', params: { requestId: 2 } });
  await until('the end of the wait', () => core.gauges().acquire_waiters === 0);
  send(acquire(3));
  await until('the wait', () => core.gauges().acquire_waiters === 1);
  child.stdin.end();
  await until('the end of the wait', () => core.gauges().acquire_waiters === 0);
  await once(child, 'exit');
  expect(said.map(({ id }) => id)).toEqual([1]);
  expect(child.exitCode).toBe(0);
});

test('without a server the bridge says so in words for the model, and goes on when there is one', async () => {
  const { send, answerTo } = start(['--url', 'http://127.0.0.1:1', '--api-key', KEY]);
  send({ id: 1, ...initialize });
  expect((await answerTo(1)).error).toMatchObject({ message: expect.stringContaining('http://127.0.0.1:1') });
  send(acquire(2));
  expect((await answerTo(2)).result).toMatchObject({
    isError: true,
    structuredContent: { error: { code: 'UNAVAILABLE', retryable: true }, next: expect.stringContaining('Wait 5 s') },
  });
});

test('a wrong key is told to the agent', async () => {
  const { url } = await startApp();
  const { send, answerTo } = start(['--url', url, '--api-key', 'wrong']);
  send({ id: 1, ...initialize });
  expect((await answerTo(1)).error).toMatchObject({ message: expect.stringContaining('UNAUTHORIZED') });
  send(acquire(2));
  expect((await answerTo(2)).result).toMatchObject({
    isError: true,
    structuredContent: { error: { code: 'UNAUTHORIZED', retryable: false } },
  });
});

test.for(STDIO_KINDS)('%s finds its tasks again in the database of an embedded service', async (kind) => {
  const folder = await mkdtemp(join(tmpdir(), 'torc-mcp-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const place = { command: mcpCommand(['--database', `sqlite://${folder}/tasks.db`]) };
  const first = await connectAgent(kind, place);
  const { value } = await first.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  await first.close();
  const second = await connectAgent(kind, place);
  const { value: acquired } = await second.call('acquire_task', { work_path: work_directory });
  expect(acquired.task.task_id).toBe(value.tasks[0].task_id);
  // No HTTP here to renew over.
  expect(acquired.renew).not.toContain('curl');
});

test('an embedded service tells a legacy agent of the resources that it has subscribed to', async () => {
  const { send, said, answerTo, child } = start(['--database', 'sqlite::memory:']);
  send({ id: 1, ...initialize });
  await answerTo(1);
  send({ method: 'notifications/initialized' });
  send({ id: 2, method: 'resources/subscribe', params: { uri: 'path:///srv/repo' } });
  await answerTo(2);
  for (const [id, directory] of [
    [3, '/elsewhere'],
    [4, work_directory],
  ] as const) {
    const tasks = [{ work_directory: directory, prompt: 'do it' }];
    send({ id, method: 'tools/call', params: { name: 'create_tasks', arguments: { tasks } } });
    await answerTo(id);
  }
  const updates = await until('an update', () => {
    const found = said.filter(({ method }) => method === 'notifications/resources/updated');
    return found.length > 0 && found;
  });
  expect(updates).toMatchObject([{ params: { uri: 'path:///srv/repo' } }]);
  child.stdin.end();
  await once(child, 'exit');
  expect(child.exitCode).toBe(0);
});

test('a database that a server has open is refused in one line', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'torc-mcp-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const database = `sqlite://${folder}/tasks.db`;
  const first = start(['--database', database]);
  first.send({ id: 1, ...initialize });
  await first.answerTo(1);
  const second = start(['--database', database]);
  await once(second.child, 'exit');
  expect(second.child.exitCode).toBe(1);
  expect(second.complaints.join('').trim().split('\n')).toHaveLength(1);
});

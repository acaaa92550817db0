import { expect, test } from 'vitest';
import { until } from '../../../../tests/support/until.ts';
import { createMcpServer } from '../../src/transports/mcp/create-server.ts';
import type { CreateMcpServer } from '../../src/transports/mcp/door.ts';
import { startApp } from '../start-app.ts';
import { askRaw, connectAgent, HTTP_KINDS } from './agents.ts';

const work_directory = '/srv/repo';

test.for(HTTP_KINDS)('%s waits in acquire_task until there is a task', async (kind) => {
  const { url, core } = await startApp();
  const agent = await connectAgent(kind, { url });
  const waiting = agent.call('acquire_task', { work_path: work_directory, wait_seconds: 50 });
  await until('the wait', () => core.gauges().acquire_waiters === 1);
  await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  expect((await waiting).value.task).toMatchObject({ prompt: 'do it' });
});

test.for(HTTP_KINDS)('when %s goes away in acquire_task, the wait ends and no lease is left behind', async (kind) => {
  const { url, core } = await startApp();
  const agent = await connectAgent(kind, { url });
  const leaving = new AbortController();
  const gone = agent.call('acquire_task', { work_path: work_directory, wait_seconds: 50 }, { signal: leaving.signal });
  await until('the wait', () => core.gauges().acquire_waiters === 1);
  leaving.abort(new Error('the agent leaves'));
  await expect(gone).rejects.toThrow();
  await until('the end of the wait', () => core.gauges().acquire_waiters === 0);
  const other = await connectAgent('raw modern', { url });
  const { value } = await other.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  expect(await core.getTask(value.tasks[0])).toMatchObject({ status: 'waiting', attempt: 0 });
  expect((await other.call('acquire_task', { work_path: work_directory })).value.task).toMatchObject({ attempt: 1 });
});

test('calls that are taken back the moment they are made leave the service as it was', async () => {
  const { ask, core } = await startApp();
  const post = (message: object, headers: Record<string, string> = {}) =>
    ask('POST', '/mcp', {
      body: { jsonrpc: '2.0', ...message },
      headers: { accept: 'application/json, text/event-stream', ...headers },
    });
  const clientInfo = { name: 'hasty', version: '1' };
  const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo };
  const { headers } = await post({ id: 'i', method: 'initialize', params });
  const session = { 'mcp-session-id': headers.get('mcp-session-id')! };
  const args = { work_path: work_directory, wait_seconds: 50 };
  const calls = Array.from({ length: 30 }, async (_, id) => {
    let hasEnded = false;
    const call = { id, method: 'tools/call', params: { name: 'acquire_task', arguments: args } };
    void post(call, session).then(() => (hasEnded = true));
    // Until it arrives after the call that it is about.
    await until('the end of the call', async () => {
      await post({ method: 'notifications/cancelled', params: { requestId: id } }, session);
      return hasEnded;
    });
  });
  await Promise.all(calls);
  await until('the end of every wait', () => core.gauges().acquire_waiters === 0);
  expect((await post({ id: 'p', method: 'ping' }, session)).status).toBe(200);
});

test.for(['v1 SDK', 'v2 legacy', 'v2 auto'] as const)('%s is told how long it has been waiting', async (kind) => {
  const { url, core } = await startApp({ createMcpServer: tickingEvery(20) });
  const agent = await connectAgent(kind, { url });
  const seen: { progress: number; total?: number | undefined; message?: string | undefined }[] = [];
  const onProgress = (progress: (typeof seen)[number]) => void seen.push(progress);
  const waiting = agent.call('acquire_task', { work_path: work_directory, wait_seconds: 40 }, { onProgress });
  await until('three reports', () => seen.length >= 3);
  await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  await waiting;
  expect(seen[0]).toMatchObject({ total: 40, message: 'no task yet on /srv/repo' });
  const amounts = seen.map(({ progress }) => progress);
  expect(amounts).toEqual([...new Set(amounts)].sort((a, b) => a - b));
  expect(core.gauges().acquire_waiters).toBe(0);
});

test('who waits for tasks keeps its own lease, however short', async () => {
  const { url, core } = await startApp({ createMcpServer: tickingEvery(100) });
  const agent = await connectAgent('raw modern', { url });
  const { value: created } = await agent.call('create_tasks', {
    tasks: [
      { work_directory, prompt: 'mine' },
      { work_directory: '/elsewhere', prompt: 'theirs' },
    ],
  });
  const { value: mine } = await agent.call('acquire_task', { work_path: work_directory, lease_seconds: 1 });
  const holding = { task_id: created.tasks[0].task_id, lease_token: mine.lease_token };
  const waiting = agent.call('wait_for_tasks', { task_ids: [created.tasks[1].task_id], holding });
  const expiry = () => core.getTask(holding).then(({ lease_expires_at }) => Date.parse(lease_expires_at!));
  const first = await expiry();
  await until(
    'a lease renewed past its first end by more than its length',
    async () => (await expiry()) > first + 1200,
  );
  const { value: theirs } = await agent.call('acquire_task', { work_path: '/elsewhere' });
  await agent.call('complete_task', { task_id: theirs.task.task_id, lease_token: theirs.lease_token });
  expect((await waiting).value).toMatchObject({ done: true, holding: { cancel_requested: false } });
  expect(await core.getTask(holding)).toMatchObject({ status: 'working', attempt: 1 });
});

test('closing the service answers an agent that waits', async () => {
  const { app, url, core } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  const waiting = agent.call('acquire_task', { work_path: work_directory, wait_seconds: 50 });
  await until('the wait', () => core.gauges().acquire_waiters === 1);
  const closed = app.close();
  expect((await waiting).value).toMatchObject({ task: null, reason: 'empty' });
  await closed;
});

/** Reports and renewals come faster than in ten seconds. */
function tickingEvery(tickMs: number): CreateMcpServer {
  return (options) => createMcpServer({ ...options, tickMs });
}

const capabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } };

test('a client that declares the Tasks extension gets a handle, and the result by it', async () => {
  const { url } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  const ask = (method: string, params: object) => askRaw({ url, method, params, capabilities });
  const { value } = await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  const task_ids = value.tasks.map(({ task_id }: { task_id: string }) => task_id);
  const { result: handle } = await ask('tools/call', { name: 'wait_for_tasks', arguments: { task_ids } });
  expect(handle).toMatchObject({ resultType: 'task', status: 'working', ttlMs: null });
  const { taskId } = handle;
  expect((await ask('tasks/get', { taskId })).result).toMatchObject({
    resultType: 'complete',
    taskId,
    status: 'working',
  });
  expect((await ask('tasks/update', { taskId, inputResponses: {} })).result).toMatchObject({ resultType: 'complete' });
  expect((await ask('tasks/cancel', { taskId })).result).toMatchObject({ resultType: 'complete' });

  const { value: acquired } = await agent.call('acquire_task', { work_path: work_directory });
  await agent.call('complete_task', { task_id: task_ids[0], lease_token: acquired.lease_token, output: 'done' });
  const { result: over } = await ask('tasks/get', { taskId });
  expect(over).toMatchObject({ status: 'completed', createdAt: handle.createdAt });
  expect(over.result.structuredContent).toMatchObject({
    done: true,
    finished: [{ task_id: task_ids[0], result: 'done' }],
  });
  // What has finished needs no handle.
  const { result: plain } = await ask('tools/call', { name: 'wait_for_tasks', arguments: { task_ids } });
  expect(plain.structuredContent).toEqual(over.result.structuredContent);
});

test('a client that does not declare the Tasks extension gets the plain answer, and no handle is valid for it', async () => {
  const { url } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  const { value } = await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  const args = { task_ids: [value.tasks[0].task_id], wait_seconds: 0.01 };
  expect((await agent.call('wait_for_tasks', args)).value).toMatchObject({ done: false, pending: args.task_ids });
  const params = { name: 'wait_for_tasks', arguments: { ...args, wait_seconds: 5 } };
  const { result } = await askRaw({ url, method: 'tools/call', params, capabilities });
  const refused = await askRaw({ url, method: 'tasks/get', params: { taskId: result.taskId } });
  expect(refused.error).toMatchObject({ code: -32_021 });
  for (const taskId of ['wait.any.0.', 'wait.all.zzzzzzzzz.AAAA', 'nonsense']) {
    const unknown = await askRaw({ url, method: 'tasks/get', params: { taskId }, capabilities });
    expect(unknown.error, taskId).toMatchObject({ code: -32_602 });
  }
});

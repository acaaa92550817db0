import { expect, test } from 'vitest';
import { until } from '../../../../tests/support/until.ts';
import { startApp } from '../start-app.ts';
import { askRaw, connectAgent, HTTP_KINDS, type Agent } from './agents.ts';

const work_directory = '/srv/repo';

async function acquire(agent: Agent, args: object = {}) {
  const { value } = await agent.call('acquire_task', { work_path: work_directory, ...args });
  return { task_id: value.task.task_id as string, lease_token: value.lease_token as string };
}

test('the list of tools fits in 10,000 bytes, the instructions in 2,048 characters', async () => {
  const { url } = await startApp();
  const { result } = await askRaw({ url, method: 'tools/list' });
  expect(result.tools.length).toBeLessThanOrEqual(10);
  expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThanOrEqual(10_000);
  const { instructions } = await connectAgent('raw modern', { url });
  expect(instructions?.length).toBeLessThanOrEqual(2048);
  expect(instructions?.slice(0, 500)).toMatch(/acquire_task.*complete_task/s);
});

test('every tool says what it does to the world, takes and answers objects, and has a name that any client can use', async () => {
  const { url } = await startApp();
  const { result } = await askRaw({ url, method: 'tools/list' });
  for (const tool of result.tools) {
    expect(tool.name).toMatch(/^[a-z]+(_[a-z]+)+$/);
    expect(tool.description.length).toBeLessThanOrEqual(600);
    expect(tool.inputSchema.type).toBe('object');
    expect(tool.outputSchema).toMatchObject({ type: 'object', required: ['next'] });
    const isReading = ['wait_for_tasks', 'get_task', 'list_tasks'].includes(tool.name);
    expect(tool.annotations).toMatchObject({
      readOnlyHint: isReading,
      destructiveHint: tool.name === 'cancel_task',
      openWorldHint: false,
    });
  }
});

test.for(HTTP_KINDS)('%s sees the same tools as every other client, and each answer the same twice', async (kind) => {
  const { url } = await startApp();
  const agent = await connectAgent(kind, { url });
  const raw = await askRaw({ url, method: 'tools/list' });
  expect(await agent.listTools()).toEqual(raw.result.tools);
  const created = await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  expect(JSON.parse(created.text)).toEqual(created.value);
  expect(created.value.next).toMatch(/wait_for_tasks/);
});

test.for(HTTP_KINDS)('%s takes a task through its whole life', async (kind) => {
  const { url, core } = await startApp();
  const agent = await connectAgent(kind, { url });
  const { value: created } = await agent.call('create_tasks', {
    tasks: [
      { work_directory, prompt: 'Build it\nwith care', ref: 'build', priority: 'high', tags: ['ci'] },
      { work_directory, prompt: 'Ship it', depends_on: ['build'] },
    ],
  });
  const [build, ship] = created.tasks;
  expect([build.status, ship.status]).toEqual(['waiting', 'blocked']);

  const { value: acquired } = await agent.call('acquire_task', { work_path: `${work_directory}/`, acquire_id: 'a' });
  expect(acquired.task).toMatchObject({
    task_id: build.task_id,
    prompt: 'Build it\nwith care',
    attempt: 1,
    tags: ['ci'],
  });
  expect(acquired.renew).toContain(`curl -X POST ${url}/api/v1/tasks/${build.task_id}/heartbeat`);
  const seconds = (Date.parse(acquired.lease_expires_at) - Date.now()) / 1000;
  expect(seconds).toBeGreaterThan(590);
  expect(seconds).toBeLessThanOrEqual(600);
  const lease = { task_id: build.task_id, lease_token: acquired.lease_token };

  const beat = await agent.call('heartbeat_task', { ...lease, progress: { percent: 50, message: 'half' } });
  expect(beat.value).toMatchObject({ cancel_requested: false });
  const { value: seen } = await agent.call('get_task', { task_id: build.task_id, include: ['prompt', 'history'] });
  expect(seen.task).toMatchObject({
    status: 'working',
    title: 'Build it',
    prompt: 'Build it\nwith care',
    progress: { percent: 50 },
  });
  expect(seen.task.history).toHaveLength(2);

  const done = await agent.call('complete_task', { ...lease, output: { files: 2 } });
  expect(done.value).toMatchObject({ task_id: build.task_id, status: 'completed' });
  const waited = await agent.call('wait_for_tasks', { task_ids: [build.task_id, ship.task_id], until: 'any' });
  expect(waited.value).toMatchObject({ done: true, pending: [ship.task_id], finished: [{ result: { files: 2 } }] });

  const second = await acquire(agent);
  const failed = await agent.call('fail_task', { ...second, error: { message: 'no key' }, retryable: false });
  expect(failed.value).toMatchObject({ task_id: ship.task_id, status: 'failed' });
  const listed = await agent.call('list_tasks', { work_directory, status: ['failed'] });
  expect(listed.value).toMatchObject({ total: 1, tasks: [{ task_id: ship.task_id, title: 'Ship it' }] });
  expect((await core.getTask({ task_id: ship.task_id })).error).toMatchObject({ message: 'no key', retryable: false });
});

test('no row of a list carries the prompt', async () => {
  const { url } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  await agent.call('create_tasks', { tasks: [{ work_directory, prompt: `First line\n${'secret '.repeat(50)}` }] });
  expect((await agent.call('list_tasks')).text).not.toContain('secret');
});

test('an agent that comes back after its lease was given to another is told to STOP, and changes nothing', async () => {
  const { url, core } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  const zombie = await acquire(agent, { lease_seconds: 1 });
  await until('the end of the lease', async () => (await core.getTask(zombie)).status === 'waiting');
  const successor = await acquire(agent);
  const before = await core.getTask(successor);
  const calls = [
    agent.call('heartbeat_task', zombie),
    agent.call('complete_task', { ...zombie, output: 'late' }),
    agent.call('fail_task', { ...zombie, error: { message: 'late' } }),
    agent.call('release_task', zombie),
    agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'more' }], holding: zombie }),
    agent.call('list_tasks', { holding: zombie }),
  ];
  for (const { isError, value, text } of await Promise.all(calls)) {
    expect(isError).toBe(true);
    expect(value.error).toMatchObject({ code: 'LEASE_LOST', retryable: false, task_id: zombie.task_id });
    expect(value.next).toMatch(/^STOP/);
    expect(JSON.parse(text)).toEqual(value);
  }
  expect(await core.getTask(successor)).toEqual(before);
  expect((await core.listTasks({ limit: 10, offset: 0 })).total).toBe(1);
});

test('a task that nobody else has taken can be completed after the lease, and again after a lost answer', async () => {
  const { url, core } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  const lease = await acquire(agent, { lease_seconds: 1 });
  await until('the end of the lease', async () => (await core.getTask(lease)).status === 'waiting');
  const first = await agent.call('complete_task', { ...lease, output: 'late' });
  expect(first.value).toMatchObject({ status: 'completed' });
  expect(await agent.call('complete_task', { ...lease, output: 'late' })).toEqual(first);
});

test('any call that names the lease renews it, and hears of a cancel', async () => {
  const { url, core } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  const holding = await acquire(agent, { lease_seconds: 100 });
  const other = await core.createTask({
    work_directory: '/elsewhere',
    prompt: 'x',
    priority: 'low',
    tags: [],
    metadata: {},
    exclusive: false,
    on_dependency_failure: 'cancel',
    idempotency_window: 24,
    depends_on: [],
  });
  const calls: [string, object][] = [
    ['create_tasks', { tasks: [{ work_directory: '/elsewhere', prompt: 'more' }] }],
    ['wait_for_tasks', { task_ids: [other.task_id], wait_seconds: 0.01 }],
    ['get_task', { task_id: other.task_id }],
    ['list_tasks', {}],
  ];
  for (const [name, args] of calls) {
    const before = (await core.getTask(holding)).lease_expires_at!;
    const { value } = await agent.call(name, { ...args, holding });
    expect(value.holding.lease_expires_at > before, name).toBe(true);
    expect((await core.getTask(holding)).lease_expires_at).toBe(value.holding.lease_expires_at);
  }
  await agent.call('cancel_task', { task_id: holding.task_id, reason: 'new plan' });
  const { value } = await agent.call('list_tasks', { holding });
  expect(value).toMatchObject({ holding: { cancel_requested: true } });
  expect(value.next).toMatch(/new plan.*fail_task/);
  const failed = await agent.call('fail_task', { ...holding, error: { message: 'stopped' } });
  expect(failed.value.status).toBe('cancelled');
});

test('a lost answer of acquire_task is given again for the same acquire_id', async () => {
  const { url } = await startApp();
  const agent = await connectAgent('v1 SDK', { url });
  await agent.call('create_tasks', {
    tasks: [
      { work_directory, prompt: 'one' },
      { work_directory, prompt: 'two' },
    ],
  });
  const first = await acquire(agent, { acquire_id: 'x', worker_id: 'w' });
  expect(await acquire(agent, { acquire_id: 'x', worker_id: 'w' })).toEqual(first);
  expect(await acquire(agent, { acquire_id: 'y', worker_id: 'w' })).not.toEqual(first);
});

test('a refusal names every wrong argument and the call to make next', async () => {
  const { url } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  const wrong = await agent.call('create_tasks', { tasks: [{ work_directory: 'srv', prompt: '', surprise: 1 }] });
  expect(wrong.isError).toBe(true);
  expect(wrong.value.error).toMatchObject({ code: 'VALIDATION_ERROR', retryable: false });
  expect(wrong.value.error.fields.join('\n')).toMatch(
    /tasks\.0\.work_directory .*\n.*tasks\.0\.prompt .*\n.*tasks\.0\.surprise/s,
  );
  expect(wrong.value.next).toMatch(/create_tasks again/);
  const unknown = await agent.call('get_task', { task_id: '01920000-0000-7000-8000-000000000000' });
  expect(unknown.value).toMatchObject({
    error: { code: 'TASK_NOT_FOUND' },
    next: expect.stringContaining('list_tasks'),
  });
  const tokenless = await agent.call('complete_task', { task_id: '01920000-0000-7000-8000-000000000000' });
  expect(tokenless.value.error.fields).toEqual(['lease_token is required']);
  expect((await agent.call('acquire_task', { work_path: '/a', limit: 5 })).value.error.fields).toEqual([
    'limit is not a known field',
  ]);
});

test('an empty queue says why, and what to do', async () => {
  const { url, core } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  const { value } = await agent.call('acquire_task', { work_path: work_directory });
  expect(value).toMatchObject({ task: null, reason: 'empty', next: expect.stringContaining('wait_seconds') });
  await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  await core.setPath({ path: work_directory, paused: true });
  expect((await agent.call('acquire_task', { work_path: work_directory })).value.reason).toBe('paused');
});

test('the trace of the caller stays with the task, and does not make a repeated call another one', async () => {
  const { url, core } = await startApp();
  const params = {
    name: 'create_tasks',
    arguments: { tasks: [{ work_directory, prompt: 'do it', idempotency_key: 'k', metadata: { a: 1 } }] },
  };
  const trace = (span: string) => ({ traceparent: `00-0af7651916cd43dd8448eb211c80319c-${span}-01` });
  const first = await askRaw({ url, method: 'tools/call', params, meta: trace('b7ad6b7169203331') });
  const again = await askRaw({ url, method: 'tools/call', params, meta: trace('00f067aa0ba902b7') });
  const [{ task_id }] = first.result.structuredContent.tasks;
  expect(again.result.structuredContent.tasks).toEqual(first.result.structuredContent.tasks);
  expect((await core.getTask({ task_id })).metadata).toEqual({ a: 1, ...trace('b7ad6b7169203331') });
});

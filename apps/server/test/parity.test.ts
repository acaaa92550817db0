import { expect, test } from 'vitest';
import { OPERATIONS, catchRefusal, restCall, trpcCall, type Call, type Fields } from './doors.ts';
import { KEY, startApp } from './start-app.ts';

/** What an operation is asked in a service that the steps before have left. */
type Step = readonly [operation: string, input: (call: Call) => Fields | Promise<Fields>];

const work_directory = '/srv/parity';
const NOBODY = '01920000-0000-7000-8000-000000000000';

const createTask = (call: Call, fields: Fields = {}) =>
  call('tasks.create', { work_directory, prompt: 'do it', ...fields });
const taskId = async (call: Call, fields?: Fields) => ({ task_id: (await createTask(call, fields))['task_id'] });
async function acquireTask(call: Call): Promise<Fields> {
  await createTask(call);
  const { tasks } = (await call('tasks.acquire', { work_path: work_directory, worker_id: 'w' })) as { tasks: Fields[] };
  const { task_id, lease_token } = tasks[0] ?? {};
  return { task_id, lease_token };
}
async function failTask(call: Call): Promise<Fields> {
  const lease = await acquireTask(call);
  await call('tasks.fail', { ...lease, error: { message: 'no' }, retryable: false });
  return { task_id: lease['task_id'] };
}

const createKey = async (call: Call) => ({
  key_id: (await call('keys.create', { name: 'a key', roles: ['producer'] }))['key_id'],
});

/** Every operation, once at least; more often where the answer has more than one form. */
const steps: readonly Step[] = [
  ['health.get', () => ({})],
  [
    'tasks.create',
    () => ({
      work_directory: `${work_directory}/`,
      prompt: 'do it',
      priority: 'high',
      tags: ['a'],
      metadata: { n: 1 },
      idempotency_key: 'k',
    }),
  ],
  ['tasks.create', () => ({ work_directory: 'relative', surprise: true })],
  [
    'tasks.createMany',
    () => ({
      tasks: [
        { ref: 'a', work_directory, prompt: 'one' },
        { work_directory, prompt: 'two', depends_on: ['a'] },
      ],
    }),
  ],
  ['tasks.get', taskId],
  ['tasks.get', () => ({ task_id: NOBODY })],
  ['tasks.list', () => ({ status: ['waiting', 'blocked'], limit: 2, subtree: true, work_directory: '/srv' })],
  ['tasks.next', async (call) => (await createTask(call), { work_path: work_directory, worker_id: 'w' })],
  ['tasks.next', () => ({ work_path: '/nowhere', worker_id: 'w' })],
  [
    'tasks.acquire',
    async (call) => (await createTask(call), { work_paths: ['/srv'], subtree: true, worker_id: 'w', limit: 3 }),
  ],
  ['tasks.acquire', () => ({ work_path: '/nowhere', worker_id: 'w', wait_seconds: 0.01 })],
  ['tasks.heartbeat', async (call) => ({ ...(await acquireTask(call)), progress: { percent: 50 } })],
  ['tasks.heartbeat', async (call) => ({ ...(await acquireTask(call)), lease_token: 'stale' })],
  [
    'tasks.heartbeatMany',
    async (call) => ({ heartbeats: [await acquireTask(call), { task_id: NOBODY, lease_token: 'x' }] }),
  ],
  [
    'tasks.complete',
    async (call) => ({ ...(await acquireTask(call)), result: { output: { any: ['json'] }, more: 1 } }),
  ],
  ['tasks.complete', async (call) => ({ ...(await acquireTask(call)), original_prompt: 'something else' })],
  ['tasks.completeMany', async (call) => ({ completions: [await acquireTask(call), { task_id: NOBODY }] })],
  ['tasks.fail', async (call) => ({ ...(await acquireTask(call)), error: { message: 'no' }, retryable: false })],
  ['tasks.release', acquireTask],
  ['tasks.cancel', async (call) => ({ ...(await taskId(call)), reason: 'no longer needed' })],
  ['tasks.retry', failTask],
  ['tasks.retry', taskId],
  [
    'tasks.cancelMany',
    async (call) => (await createTask(call, { tags: ['b'] }), { filter: { tag: 'b' }, dry_run: true }),
  ],
  ['tasks.retryMany', async (call) => (await failTask(call), { filter: { status: 'failed' } })],
  ['tasks.appendLog', async (call) => ({ ...(await acquireTask(call)), entries: [{ text: 'hello' }] })],
  [
    'tasks.logs',
    async (call) => {
      const lease = await acquireTask(call);
      await call('tasks.appendLog', { ...lease, entries: [{ text: 'hello', stream: 'stderr' }] });
      return { task_id: lease['task_id'], limit: 10 };
    },
  ],
  ['tasks.events', failTask],
  ['tasks.wait', async (call) => ({ task_ids: [(await taskId(call))['task_id']], wait_seconds: 0.01 })],
  ['events.stream', () => ({ last_event_id: '0', work_directory })],
  ['workers.list', async (call) => (await acquireTask(call), {})],
  ['paths.set', () => ({ path: work_directory, max_concurrent: 50 })],
  ['paths.list', () => ({ limit: 5 })],
  ['stats.get', () => ({})],
  ['keys.create', () => ({ name: 'a key', roles: ['worker', 'viewer'], path_prefixes: ['/srv//parity/'] })],
  ['keys.create', () => ({ name: '', roles: [], path_prefixes: ['srv'], expires_at: 'tomorrow' })],
  ['keys.create', () => ({ name: 'too much', roles: ['admin'], path_prefixes: ['/srv'] })],
  ['keys.create', () => ({ name: 'too late', roles: ['viewer'], expires_at: '2020-01-01T00:00:00Z' })],
  ['keys.list', () => ({ limit: 10 })],
  ['keys.rotate', async (call) => ({ ...(await createKey(call)), grace_seconds: 60 })],
  ['keys.rotate', () => ({ key_id: NOBODY })],
  ['keys.revoke', createKey],
  ['keys.revoke', () => ({ key_id: NOBODY })],
];

test('every operation of the contract is compared', () => {
  expect(new Set(steps.map(([operation]) => operation))).toEqual(new Set(OPERATIONS.keys()));
});

test('REST and tRPC give the same answers and refusals, as the contract describes them', async () => {
  const viaRest = await answerAll(restCall);
  const viaTrpc = await answerAll(trpcCall);
  for (const [index, [operation]] of steps.entries()) {
    const answer = viaRest[index];
    expect({ operation, answer: normalise(viaTrpc[index]) }).toEqual({ operation, answer: normalise(answer) });
    if (!isRefusal(answer)) expect(OPERATIONS.get(operation)?.output.parse(answer), operation).toEqual(answer);
  }
});

function isRefusal(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'refused' in answer;
}

/** All steps, one after the other, on a service of their own. */
async function answerAll(makeCall: (url: string, key: string) => Call): Promise<unknown[]> {
  const { url, core } = await startApp();
  const call = makeCall(url, KEY);
  const answers: unknown[] = [];
  for (const [operation, input] of steps) {
    const asked = await input(call);
    // What is written in the background from time to time, such as sightings of workers.
    await core.tick();
    answers.push(await call(operation, asked).catch(catchRefusal));
  }
  return answers;
}

/** Ids, tokens, times and numbers of the process differ from run to run. */
function normalise(value: unknown): unknown {
  const text = JSON.stringify(value)
    .replaceAll(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(
      /"(response_time|cpu_usage|uptime_seconds|oldest_waiting_seconds|active_connections)":[\d.]+/g,
      '"$1":0',
    )
    .replaceAll(/"(memory_usage|uptime|secret|lease_token)":"[^"]+"/g, '"$1":""');
  return JSON.parse(text);
}

import { expect, test } from 'vitest';
import { until } from '../../../../tests/support/until.ts';
import { KEY, startApp } from '../start-app.ts';
import { askRaw, connectAgent } from './agents.ts';
import { listen } from './listen.ts';

const work_directory = '/srv/repo';
const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};
const accept = 'application/json, text/event-stream';

test.for([
  ['no key', {}],
  ['an unknown key', { authorization: 'Bearer nonsense' }],
] as const)('%s is 401, with a challenge', async ([, headers]) => {
  const { ask } = await startApp();
  const answer = await ask('POST', '/mcp', { body: initialize, isAnonymous: true, headers: { accept, ...headers } });
  expect(answer.status).toBe(401);
  expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: null, error: { data: { code: 'UNAUTHORIZED' } } });
});

test.for([
  ['a foreign host', { host: 'evil.example.com' }, 403],
  ['a foreign origin', { origin: 'https://evil.example.com' }, 403],
  ['an origin that is none', { origin: 'null' }, 403],
  ['the origin of this machine', { origin: 'http://localhost:6274' }, 200],
  ['a configured origin', { origin: 'https://app.example.com' }, 200],
  ['a configured host', { host: 'tasks.example.com' }, 200],
  ['a host without a dot', { host: 'orchestrator:8080' }, 200],
  ['an address', { host: '[::1]:8080' }, 200],
] as const)('%s: %j is answered %i', async ([, headers, status]) => {
  const { app } = await startApp({
    config: { security: { cors_origins: ['https://app.example.com'], allowed_hosts: ['tasks.example.com'] } },
  });
  const answer = await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: { authorization: `Bearer ${KEY}`, accept, ...headers },
    payload: { ...initialize, method: 'ping', params: {} },
  });
  expect(answer.statusCode).toBe(status);
});

test('what is no JSON-RPC is refused as JSON-RPC, other methods with 405', async () => {
  const { ask } = await startApp({ config: { server: { body_limit: 1000 } } });
  const headers = { 'content-type': 'application/json', accept };
  const broken = await ask('POST', '/mcp', { body: '{', headers });
  expect([broken.status, broken.json.error.data.code]).toEqual([400, 'VALIDATION_ERROR']);
  const large = await ask('POST', '/mcp', { body: { ...initialize, more: 'x'.repeat(2000) }, headers });
  expect([large.status, large.json.error.data.code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  const text = await ask('POST', '/mcp', { body: 'hello', headers: { 'content-type': 'text/plain', accept } });
  expect(text.status).toBe(415);
  for (const method of ['GET', 'DELETE']) expect((await ask(method, '/mcp')).status).toBe(405);
});

test('answers carry the request id, and every message of a batch counts against the limit', async () => {
  const { ask } = await startApp({ config: { security: { rate_limit_requests_per_minute: 10 } } });
  const headers = { accept, 'x-request-id': 'mine' };
  const ping = (id: number) => ({ jsonrpc: '2.0', id, method: 'ping' });
  const one = await ask('POST', '/mcp', { body: ping(1), headers });
  expect(one.headers.get('x-request-id')).toBe('mine');
  expect(one.headers.get('ratelimit')).toContain('r=9');
  const batch = await ask('POST', '/mcp', { body: [ping(2), ping(3), ping(4), ping(5)], headers });
  expect(batch.headers.get('ratelimit')).toContain('r=5');
  const over = await ask('POST', '/mcp', { body: [1, 2, 3, 4, 5, 6, 7].map(ping), headers });
  expect(over.status).toBe(429);
  expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(over.json.error.data).toMatchObject({ code: 'RATE_LIMITED', retry_after_seconds: expect.any(Number) });
});

test('calls are measured by tool, and a refusal is logged with its code and without its arguments', async () => {
  const { url, ask, log } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  await agent.call('create_tasks', { tasks: [{ work_directory, prompt: 'do it' }] });
  await agent.call('complete_task', { task_id: '01920000-0000-7000-8000-000000000000', lease_token: 'secret' });
  await agent.call('nonsense').catch(() => undefined);
  const { text } = await ask('GET', '/metrics');
  expect(text).toMatch(/response_time_seconds_count\{.*route="mcp.create_tasks".*status="2xx".*\} 1/);
  expect(text).toMatch(/response_time_seconds_count\{.*route="mcp.complete_task".*status="4xx".*\} 1/);
  const refused = log.map((line) => JSON.parse(line)).find(({ operation }) => operation === 'mcp.complete_task');
  expect(refused).toMatchObject({ status: 404, code: 'TASK_NOT_FOUND', key_id: 'configured' });
  expect(log.join('')).not.toContain('secret');
});

test('a bug stays inside, with an id to find it by', async () => {
  const { url, log, core } = await startApp();
  core.early.listTasks = () => Promise.reject(new Error('internal detail'));
  const { text, value, isError } = await (await connectAgent('raw modern', { url })).call('list_tasks');
  expect(isError).toBe(true);
  expect(value.error).toMatchObject({ code: 'INTERNAL_ERROR', request_id: expect.any(String) });
  expect(text).not.toContain('internal detail');
  expect(log.join('')).toContain('internal detail');
});

test('a handle in the body must be the one in the header', async () => {
  const { url } = await startApp();
  const capabilities = { extensions: { 'io.modelcontextprotocol/tasks': {} } };
  const headers = { 'mcp-name': 'other' };
  const answer = await askRaw({ url, method: 'tasks/get', params: { taskId: 'this' }, capabilities, headers });
  expect([answer.status, answer.error.code]).toEqual([400, -32_020]);
});

test('closing the service ends the streams of subscribers', async () => {
  const { app, url } = await startApp();
  const listening = listen(url, ['path:///srv/repo']);
  await listening.acknowledged;
  await app.close();
  expect((await listening.frames).at(-1)).toMatchObject({ result: { resultType: 'complete' } });
});

test('a subscriber hears of what happens to its task and to its path, and of nothing else', async () => {
  const { url, core } = await startApp();
  const agent = await connectAgent('raw modern', { url });
  const create = (directory: string) =>
    agent.call('create_tasks', { tasks: [{ work_directory: directory, prompt: 'do it' }] });
  const { value } = await create(work_directory);
  const task = `task://${value.tasks[0].task_id}`;
  const listening = listen(url, [task, 'path:///srv/other%20path']);
  await listening.acknowledged;
  await create('/srv/unheard');
  await create('/srv/other path');
  await core.cancelTask({ task_id: value.tasks[0].task_id, force: false });
  const uris = await until('two updates', () => listening.uris.length >= 2 && listening.uris);
  expect(uris).toEqual(['path:///srv/other%20path', task]);
  listening.stop();
});

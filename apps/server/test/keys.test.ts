import { createHash } from 'node:crypto';
import type { ApiKeyWithSecret } from '@task-orchestrator/contract';
import { expect, test } from 'vitest';
import { createAuthenticator } from '../src/auth.ts';
import { catchRefusal, restCall, trpcCall, type Fields } from './doors.ts';
import { KEY, startApp, type RunningApp } from './start-app.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const NO_ADMIN_KEY = { security: { admin_key: undefined } };

async function createKey({ url }: RunningApp, key: Fields = {}, as = KEY): Promise<ApiKeyWithSecret> {
  const created: unknown = await restCall(url, as)('keys.create', { name: 'a key', roles: ['viewer'], ...key });
  return created as ApiKeyWithSecret;
}

/** The status of a harmless call with a secret. */
async function statusWith({ ask }: RunningApp, secret: string): Promise<number> {
  const headers = { authorization: `Bearer ${secret}` };
  return (await ask('GET', '/api/v1/statistics', { isAnonymous: true, headers })).status;
}

test('a key is shown once with its secret, and listed without', async () => {
  const service = await startApp();
  const { secret, ...key } = await createKey(service, { roles: ['worker', 'viewer'], path_prefixes: ['/srv/a/'] });
  expect(secret).toMatch(/^tok_[\w-]{43}$/);
  expect(await statusWith(service, secret)).toBe(200);
  const listed = (await restCall(service.url, KEY)('keys.list', {})) as { keys: Fields[] };
  expect(listed.keys).toEqual([{ ...key, path_prefixes: ['/srv/a'], last_used_at: expect.any(String) }]);
  expect(await service.core.keys.findByHash(sha256(secret))).toMatchObject({ key_id: key.key_id });
});

test('a revoked key is refused at once, over every door', async () => {
  const service = await startApp();
  const { key_id, secret } = await createKey(service);
  expect(await statusWith(service, secret)).toBe(200);
  const answer = await service.ask('DELETE', `/api/v1/keys/${key_id}`);
  expect([answer.status, answer.json.data.key_id]).toEqual([200, key_id]);
  for (const call of [restCall(service.url, secret), trpcCall(service.url, secret)]) {
    expect(await call('stats.get', {}).catch(catchRefusal)).toMatchObject({ refused: { code: 'UNAUTHORIZED' } });
  }
  expect((await service.ask('DELETE', `/api/v1/keys/${key_id}`)).json.error).toMatchObject({
    code: 'NOT_FOUND',
    message: `there is no key ${key_id}`,
  });
});

test('after a rotation the new secret is valid, and the old one for as long as its grace', async () => {
  const service = await startApp();
  const { key_id, secret } = await createKey(service);
  const rotate = (input: Fields) => trpcCall(service.url, KEY)('keys.rotate', { key_id, ...input });
  const graceful = (await rotate({ grace_seconds: 60 })) as { secret: string; old_secret_expires_at: string };
  expect(Date.parse(graceful.old_secret_expires_at) - Date.now()).toBeGreaterThan(55_000);
  expect([await statusWith(service, secret), await statusWith(service, graceful.secret)]).toEqual([200, 200]);
  const sudden = (await rotate({})) as { secret: string };
  const secrets = [secret, graceful.secret, sudden.secret];
  expect(await Promise.all(secrets.map((each) => statusWith(service, each)))).toEqual([401, 401, 200]);
});

test('the last admin key stays, unless security.admin_key is another way in', async () => {
  const service = await startApp({ config: NO_ADMIN_KEY });
  await service.core.keys.insertFirst({ name: 'admin', hash: sha256('first') });
  const first = ((await restCall(service.url, 'first')('keys.list', {})) as { keys: { key_id: string }[] }).keys[0]!;
  const revoke = (key_id: string, as: string) =>
    restCall(service.url, as)('keys.revoke', { key_id }).catch(catchRefusal);
  expect(await revoke(first.key_id, 'first')).toMatchObject({
    refused: {
      status: 409,
      code: 'STATUS_CONFLICT',
      message: `key ${first.key_id} is the last admin key; create one that does not expire first, or set security.admin_key`,
    },
  });
  const expires_at = new Date(Date.now() + 60_000).toISOString();
  await createKey(service, { roles: ['admin'], expires_at }, 'first');
  expect(await revoke(first.key_id, 'first')).toMatchObject({ refused: { code: 'STATUS_CONFLICT' } });
  const second = await createKey(service, { roles: ['admin'] }, 'first');
  expect(await revoke(first.key_id, second.secret)).toMatchObject({ key_id: first.key_id });

  const configured = await startApp();
  const only = await createKey(configured, { roles: ['admin'] });
  expect((await configured.ask('DELETE', `/api/v1/keys/${only.key_id}`)).status).toBe(200);
});

test('what is wrong with a new key is said by the name of the field', async () => {
  const service = await startApp();
  const create = async (key: Fields) =>
    (await service.ask('POST', '/api/v1/keys', { body: { name: 'a key', roles: ['viewer'], ...key } })).json.error
      .details;
  expect(await create({ roles: ['owner'] })).toMatchObject({
    field: 'roles.0',
    message: 'must be one of producer, worker, viewer, admin',
  });
  expect(await create({ roles: [] })).toMatchObject({ field: 'roles', message: 'must name at least one role' });
  expect(await create({ path_prefixes: ['srv'] })).toMatchObject({
    field: 'path_prefixes.0',
    message: 'Path prefix must be an absolute path',
  });
  expect(await create({ expires_at: '2020-01-01T00:00:00Z' })).toMatchObject({
    field: 'expires_at',
    message: 'must be in the future',
  });
  expect(await create({ roles: ['admin'], path_prefixes: ['/srv'] })).toMatchObject({
    field: 'path_prefixes',
    message: 'must be empty for the role admin, which covers every path',
  });
});

test('a refusal names the roles that would do and those that the key has', async () => {
  const service = await startApp();
  const { secret } = await createKey(service, { roles: ['worker', 'viewer'] });
  const body = { work_directory: '/srv', prompt: 'do it' };
  const answer = await service.ask('POST', '/api/v1/tasks', { body, headers: { authorization: `Bearer ${secret}` } });
  expect(answer.status).toBe(403);
  expect(answer.json.error).toEqual({
    code: 'FORBIDDEN',
    message: 'tasks.create needs the role producer or admin; this key has worker and viewer',
    details: { operation: 'tasks.create', needed: ['producer', 'admin'] },
  });
});

test('each call of a batch is judged for itself', async () => {
  const service = await startApp();
  const { secret } = await createKey(service);
  const input = encodeURIComponent(JSON.stringify({ 0: {}, 1: {} }));
  const answer = await service.ask('GET', `/trpc/stats.get,keys.list?batch=1&input=${input}`, {
    headers: { authorization: `Bearer ${secret}` },
  });
  expect(answer.status).toBe(207);
  expect(answer.json[0].result.data.total_tasks).toBe(0);
  expect(answer.json[1].error.data).toMatchObject({ code: 'FORBIDDEN', httpStatus: 403 });
});

test('logs name the key by its id, and neither logs nor metrics hold a name or a secret', async () => {
  const service = await startApp({ logLevel: 'debug' });
  const { key_id, secret } = await createKey(service, { name: 'a telling name' });
  await service.ask('POST', '/api/v1/keys', { body: '{}', headers: { authorization: `Bearer ${secret}` } });
  const log = service.log.join('');
  expect(log).toContain(`"key_id":"${key_id}"`);
  const metrics = (await service.ask('GET', '/metrics')).text;
  for (const text of [log, metrics]) expect(text).not.toMatch(new RegExp(`a telling name|${secret}|${sha256(secret)}`));
});

test('where metrics ask for a key, it has the role of a viewer and no prefixes', async () => {
  const service = await startApp({ config: { security: { metrics_require_key: true } } });
  const statusOf = async (key: Fields) => {
    const { secret } = await createKey(service, key);
    return (await service.ask('GET', '/metrics', { headers: { authorization: `Bearer ${secret}` } })).status;
  };
  expect(await statusOf({ roles: ['viewer'] })).toBe(200);
  expect(await statusOf({ roles: ['worker'] })).toBe(403);
  expect(await statusOf({ roles: ['viewer'], path_prefixes: ['/srv'] })).toBe(403);
});

test('without authentication keys are managed as by an admin', async () => {
  const service = await startApp({ config: { security: { ...NO_ADMIN_KEY.security, enable_auth: false } } });
  const { key_id } = await createKey(service, {}, 'any');
  expect((await service.ask('DELETE', `/api/v1/keys/${key_id}`, { isAnonymous: true })).status).toBe(200);
});

test('what is remembered of a key ends with the key', async () => {
  let now = 0;
  let asked = 0;
  const key = { key_id: '1', name: 'n', roles: ['viewer'], path_prefixes: [], remainingMs: 1500 } as const;
  const keys = { findByHash: () => (asked++, Promise.resolve(asked === 1 ? key : undefined)) };
  const authenticator = createAuthenticator({ keys, now: () => now });
  expect(await authenticator.find('secret')).toMatchObject({ key_id: '1' });
  now = 1499;
  expect(await authenticator.find('secret')).toMatchObject({ key_id: '1' });
  now = 1500;
  expect(await authenticator.find('secret')).toBeUndefined();
});

test('a look-up that was under way when the key changed is not remembered', async () => {
  const key = { key_id: '1', name: 'n', roles: ['viewer'], path_prefixes: [], remainingMs: Infinity } as const;
  const slow = Promise.withResolvers<typeof key>();
  const answers = [slow.promise, Promise.resolve(undefined)];
  const authenticator = createAuthenticator({ keys: { findByHash: () => answers.shift()! } });
  const found = authenticator.find('secret');
  authenticator.forget(({ key_id }) => key_id === '1');
  slow.resolve(key);
  expect(await found).toMatchObject({ key_id: '1' });
  expect(await authenticator.find('secret')).toBeUndefined();
});

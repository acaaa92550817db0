import { createHash } from 'node:crypto';
import type { ValidKey } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { createAuthenticator, readSecret } from '../src/auth.ts';
import { KEY, startApp } from './start-app.ts';

const GOOD: ValidKey = { key_id: '1', name: 'n', roles: ['viewer'], path_prefixes: [], remainingMs: Infinity };

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');

test.for([
  ['no key', {}],
  ['an unknown key', { authorization: 'Bearer nonsense' }],
  ['an empty key', { authorization: 'Bearer ' }],
  ['another scheme', { authorization: `Basic ${KEY}` }],
  ['an unknown x-api-key', { 'x-api-key': 'nonsense' }],
  ['an endless key', { authorization: `Bearer ${'x'.repeat(5000)}` }],
] as const)('%s is 401, before the body is looked at', async ([, headers]) => {
  const { ask } = await startApp();
  const answer = await ask('POST', '/api/v1/tasks', { body: '{', isAnonymous: true, headers: { ...headers } });
  expect(answer.status).toBe(401);
  expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  expect(answer.json).toMatchObject({ success: false, data: null, error: { code: 'UNAUTHORIZED' } });
});

test.for([
  ['Bearer', { authorization: `Bearer ${KEY}` }],
  ['bearer in lower case', { authorization: `bearer ${KEY}` }],
  ['x-api-key', { 'x-api-key': KEY }],
] as const)('a key is taken from %s', async ([, headers]) => {
  const { ask } = await startApp();
  expect((await ask('GET', '/api/v1/statistics', { isAnonymous: true, headers: { ...headers } })).status).toBe(200);
});

test('a stored key is valid beside the configured one', async () => {
  const { ask, core } = await startApp();
  await core.keys.insert({ name: 'viewer', roles: ['viewer'], path_prefixes: [], hash: sha256('tok_stored') });
  const headers = { 'x-api-key': 'tok_stored' };
  expect((await ask('GET', '/api/v1/statistics', { isAnonymous: true, headers })).status).toBe(200);
  expect((await ask('GET', '/api/v1/statistics')).status).toBe(200);
});

test('without authentication nobody needs a key', async () => {
  const { ask } = await startApp({ config: { security: { enable_auth: false } } });
  expect((await ask('GET', '/api/v1/statistics', { isAnonymous: true })).status).toBe(200);
});

test('health, docs and the document need no key, metrics only when configured', async () => {
  const open = await startApp();
  const paths = ['/health', '/health/live', '/health/ready', '/docs', '/openapi.json', '/metrics'];
  for (const path of paths) expect((await open.ask('GET', path, { isAnonymous: true })).status, path).toBe(200);
  const closed = await startApp({ config: { security: { metrics_require_key: true } } });
  expect((await closed.ask('GET', '/metrics', { isAnonymous: true })).status).toBe(401);
  expect((await closed.ask('GET', '/metrics')).status).toBe(200);
});

test('keys are in no line of the log', async () => {
  const { ask, log } = await startApp({ logLevel: 'debug' });
  for (const authorization of [`Bearer ${KEY}`, 'Bearer tok_wrong']) {
    await ask('GET', `/api/v1/tasks/nonsense?api_key=${KEY}`, { headers: { authorization } });
  }
  expect(log).toHaveLength(2);
  expect(log.join('')).not.toMatch(new RegExp(`${KEY}|tok_wrong`));
});

test('the database is asked about a key once in a while, whether it knows the key or not', async () => {
  const asked: string[] = [];
  let now = 0;
  const keys = {
    findByHash: (hash: string) => {
      asked.push(hash);
      return Promise.resolve(hash === sha256('good') ? GOOD : undefined);
    },
  };
  const authenticator = createAuthenticator({ keys, now: () => now });
  for (let i = 0; i < 3; i++) {
    expect(await authenticator.find('good')).toEqual({
      key_id: '1',
      name: 'n',
      roles: ['viewer'],
      scope: undefined,
      hash: sha256('good'),
    });
    expect(await authenticator.find('bad')).toBeUndefined();
  }
  expect(asked).toEqual([sha256('good'), sha256('bad')]);
  now = 5001;
  await authenticator.find('good');
  expect(asked).toHaveLength(3);
});

test('a flood of guesses does not make the service forget real keys', async () => {
  let asked = 0;
  const keys = {
    findByHash: (hash: string) => {
      asked += 1;
      return Promise.resolve(hash === sha256('good') ? GOOD : undefined);
    },
  };
  const authenticator = createAuthenticator({ keys, now: () => 0 });
  await authenticator.find('good');
  for (let i = 0; i < 3000; i++) await authenticator.find(`guess ${i}`);
  asked = 0;
  await authenticator.find('good');
  expect(asked).toBe(0);
});

test('a key is familiar once it was valid, for as long as it is, and the configured one from the start', async () => {
  const stored = new Set([sha256('good')]);
  let now = 0;
  const keys = {
    findByHash: (hash: string) => Promise.resolve(stored.has(hash) ? GOOD : undefined),
  };
  const authenticator = createAuthenticator({ keys, adminKey: KEY, now: () => now });
  const areFamiliar = () => [KEY, 'good', 'bad'].map((secret) => authenticator.isFamiliar(secret));
  expect(areFamiliar()).toEqual([true, false, false]);
  for (const secret of ['good', 'bad']) await authenticator.find(secret);
  expect(areFamiliar()).toEqual([true, true, false]);
  now = 60_000;
  expect(areFamiliar()).toEqual([true, true, false]);
  authenticator.forget(() => true);
  expect(areFamiliar()).toEqual([true, true, false]);
  stored.clear();
  expect(await authenticator.find('good')).toBeUndefined();
  expect(areFamiliar()).toEqual([true, false, false]);
});

test('a key is read from the headers, and from nowhere else', () => {
  expect(readSecret({ authorization: 'Bearer a' })).toBe('a');
  expect(readSecret({ authorization: 'Bearer a b' })).toBeUndefined();
  expect(readSecret({ authorization: 'a', 'x-api-key': 'b' })).toBeUndefined();
  expect(readSecret({})).toBeUndefined();
});

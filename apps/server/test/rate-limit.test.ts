import type { ValidKey } from '@task-orchestrator/core';
import { describe, expect, test } from 'vitest';
import { hashSecret } from '../src/key-secret.ts';
import { createRateLimiter } from '../src/rate-limit.ts';
import { KEY, startApp, type AskOptions, type Answer } from './start-app.ts';
import { aCore } from './fake-core.ts';

const limited = (requests: number, enable_auth = true) => ({
  config: { security: { rate_limit_requests_per_minute: requests, enable_auth } },
});

const limitedStrangers = (rate_limit_unauthenticated_per_minute: number) => ({
  config: { security: { rate_limit_unauthenticated_per_minute } },
});

/** Behind a trusted proxy, so that a test may come from any address; `lookUps` are those of the database. */
async function startAppWithKeys(options: ReturnType<typeof limitedStrangers>, valid = ['tok_good']) {
  const lookUps: string[] = [];
  const hashes = new Map(valid.map((key) => [hashSecret(key), key]));
  const fake = aCore();
  const core = aCore({
    keys: {
      ...fake.keys,
      findByHash(hash) {
        lookUps.push(hash);
        const name = hashes.get(hash);
        return Promise.resolve(name === undefined ? undefined : aValidKey(name));
      },
    },
    getStatistics: () => Promise.resolve(STATISTICS),
  });
  const security = { ...options.config.security, trusted_proxies: ['127.0.0.1'] };
  return { ...(await startApp({ core, config: { security } })), lookUps };
}

function aValidKey(name: string): ValidKey {
  return { key_id: name, name, roles: ['viewer'], path_prefixes: [], remainingMs: Infinity };
}

const STATISTICS = {
  total_tasks: 0,
  tasks: { blocked: 0, scheduled: 0, waiting: 0, working: 0, completed: 0, failed: 0, cancelled: 0 },
  oldest_waiting_seconds: null,
  workers: 0,
  uptime_seconds: 0,
};

type Ask = (method: string, path: string, options?: AskOptions) => Promise<Answer>;

function askWith(ask: Ask, key: string, address: string): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}`, 'x-forwarded-for': address };
  return ask('GET', '/api/v1/statistics', { isAnonymous: true, headers });
}

test('a key has so many requests a minute, and is told what is left', async () => {
  const { ask } = await startApp(limited(2));
  const first = await ask('GET', '/api/v1/statistics');
  expect(first.headers.get('ratelimit-policy')).toBe('"default";q=2;w=60');
  expect(first.headers.get('ratelimit')).toMatch(/^"default";r=1;t=\d+$/);
  await ask('GET', '/api/v1/statistics');
  const third = await ask('GET', '/api/v1/statistics');
  expect(third.status).toBe(429);
  expect(third.json.error).toMatchObject({
    code: 'RATE_LIMITED',
    details: { retry_after_seconds: expect.any(Number) },
  });
  expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0);
});

test('each call of a batch counts', async () => {
  const { ask } = await startApp(limited(10));
  await ask('GET', '/trpc/stats.get,stats.get,stats.get?batch=1');
  const answer = await ask('GET', '/trpc/stats.get');
  expect(answer.headers.get('ratelimit')).toMatch(/r=6;/);
});

test('who shows no valid key is counted by address, and does not use up a key', async () => {
  const { ask } = await startApp(limitedStrangers(2));
  for (const status of [401, 401, 429]) {
    expect((await ask('GET', '/api/v1/statistics', { isAnonymous: true })).status).toBe(status);
  }
  expect((await ask('GET', '/api/v1/statistics')).status).toBe(200);
});

describe('a flood of wrong keys from an address', () => {
  test('costs no more look-ups than the limit, whatever keys it tries, and is told so', async () => {
    const { ask, lookUps } = await startAppWithKeys(limitedStrangers(5));
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) => askWith(ask, `tok_guess_${index}`, '10.0.0.1')),
    );
    const refused = answers.filter(({ status }) => status === 429);
    expect([answers.length - refused.length, lookUps.length]).toEqual([5, 5]);
    expect(refused[0]?.json.error).toMatchObject({
      code: 'RATE_LIMITED',
      message: expect.stringMatching(
        /^More than 5 requests without a valid key from this address a minute; try again in/,
      ),
    });
    expect(refused[0]?.headers.get('ratelimit-policy')).toBe('"unauthenticated";q=5;w=60');
    expect(refused[0]?.headers.get('ratelimit')).toMatch(/^"unauthenticated";r=0;t=\d+$/);
    expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  test('shuts out neither the keys that were used from there before nor the configured one', async () => {
    const { ask } = await startAppWithKeys(limitedStrangers(3));
    expect((await askWith(ask, 'tok_good', '10.0.0.1')).status).toBe(200);
    for (let index = 0; index < 10; index++) await askWith(ask, `tok_guess_${index}`, '10.0.0.1');
    expect((await askWith(ask, 'tok_guess', '10.0.0.1')).status).toBe(429);
    for (const key of ['tok_good', KEY]) expect((await askWith(ask, key, '10.0.0.1')).status, key).toBe(200);
  });

  test('does not concern other addresses', async () => {
    const { ask } = await startAppWithKeys(limitedStrangers(1));
    for (const status of [401, 429]) expect((await askWith(ask, `tok_${status}`, '10.0.0.1')).status).toBe(status);
    expect((await askWith(ask, 'tok_good', '10.0.0.2')).status).toBe(200);
  });

  test('is one flood from a whole IPv6 network', async () => {
    const { ask } = await startAppWithKeys(limitedStrangers(1));
    expect((await askWith(ask, 'tok_1', '2001:db8::1')).status).toBe(401);
    expect((await askWith(ask, 'tok_2', '2001:db8::ffff:2')).status).toBe(429);
    expect((await askWith(ask, 'tok_3', '2001:db8:0:1::1')).status).toBe(401);
  });

  test('valid keys that are new do not use up the limit of their address', async () => {
    const { ask } = await startAppWithKeys(limitedStrangers(2), ['a', 'b', 'c', 'd']);
    for (const key of ['a', 'b', 'c', 'd']) expect((await askWith(ask, key, '10.0.0.1')).status, key).toBe(200);
  });
});

describe('X-Forwarded-For', () => {
  const asked = async (trusted_proxies: string[], forwarded: string) => {
    const { ask } = await startApp({
      config: { security: { ...limitedStrangers(1).config.security, trusted_proxies } },
    });
    const statusOf = async (header: string) =>
      (await ask('GET', '/api/v1/statistics', { isAnonymous: true, headers: { 'x-forwarded-for': header } })).status;
    return [await statusOf(forwarded), await statusOf('203.0.113.7')];
  };

  test('is believed from a trusted proxy', async () => {
    expect(await asked(['127.0.0.1'], '203.0.113.8')).toEqual([401, 401]);
  });

  test('is believed from nobody by default, nor from a proxy that is not trusted', async () => {
    expect(await asked([], '203.0.113.8')).toEqual([401, 429]);
    expect(await asked(['10.0.0.0/8'], '203.0.113.8')).toEqual([401, 429]);
  });

  test('says nothing beyond what trusted proxies have added: what the client wrote stands to the left', async () => {
    expect(await asked(['127.0.0.0/8'], '198.51.100.1, 203.0.113.7')).toEqual([401, 429]);
    expect(await asked(['127.0.0.0/8', '10.0.0.0/8'], '198.51.100.1, 203.0.113.7, 10.1.2.3')).toEqual([401, 429]);
  });
});

test('without authentication the address is counted', async () => {
  const { ask } = await startApp(limited(1, false));
  expect((await ask('GET', '/api/v1/statistics', { isAnonymous: true })).status).toBe(200);
  expect((await ask('GET', '/api/v1/statistics')).status).toBe(429);
});

test('health and metrics are never limited, and 0 switches the limit off', async () => {
  const { ask } = await startApp(limited(1));
  for (let i = 0; i < 3; i++) expect((await ask('GET', '/health')).status).toBe(200);
  const open = await startApp(limited(0));
  const answer = await open.ask('GET', '/api/v1/statistics');
  expect(answer.headers.has('ratelimit')).toBe(false);
});

describe('a token bucket', () => {
  test('refills evenly, up to its size', () => {
    let now = 0;
    const limiter = createRateLimiter({ requestsPerMinute: 60, now: () => now });
    expect(limiter.take('a', 60)).toMatchObject({ isAllowed: true, remaining: 0, resetSeconds: 60 });
    expect(limiter.take('a', 1)).toMatchObject({ isAllowed: false, retryAfterSeconds: 1 });
    now = 10_000;
    expect(limiter.take('a', 1)).toMatchObject({ isAllowed: true, remaining: 9 });
    now = 1_000_000;
    expect(limiter.take('a', 0).remaining).toBe(60);
  });

  test('takes all calls of a batch or none', () => {
    const limiter = createRateLimiter({ requestsPerMinute: 10, now: () => 0 });
    limiter.take('a', 5);
    expect(limiter.take('a', 6)).toMatchObject({ isAllowed: false, remaining: 5, retryAfterSeconds: 6 });
    expect(limiter.take('a', 5).isAllowed).toBe(true);
  });

  test('lets a batch above its size pass when it is full', () => {
    const limiter = createRateLimiter({ requestsPerMinute: 10, now: () => 0 });
    expect(limiter.take('a', 100)).toMatchObject({ isAllowed: true, remaining: 0 });
    expect(limiter.take('a', 100).isAllowed).toBe(false);
  });

  test('takes back what was not needed, up to its size', () => {
    const limiter = createRateLimiter({ requestsPerMinute: 2, now: () => 0 });
    limiter.take('a', 2);
    limiter.giveBack('a', 1);
    expect(limiter.take('a', 1).isAllowed).toBe(true);
    limiter.giveBack('a', 10);
    expect(limiter.take('a', 3)).toMatchObject({ isAllowed: true, remaining: 0 });
    limiter.giveBack('unknown', 1);
  });

  test('is each caller’s own', () => {
    const limiter = createRateLimiter({ requestsPerMinute: 1, now: () => 0 });
    limiter.take('a', 1);
    expect(limiter.take('b', 1).isAllowed).toBe(true);
  });
});

import { describe, expect, test } from 'vitest';
import { createRateLimiter } from '../src/rate-limit.ts';
import { startApp } from './start-app.ts';

const limited = (requests: number, enable_auth = true) => ({
  config: { security: { rate_limit_requests_per_minute: requests, enable_auth } },
});

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
  const { ask } = await startApp(limited(2));
  for (const status of [401, 401, 429]) {
    expect((await ask('GET', '/api/v1/statistics', { isAnonymous: true })).status).toBe(status);
  }
  expect((await ask('GET', '/api/v1/statistics')).status).toBe(200);
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

  test('is each caller’s own', () => {
    const limiter = createRateLimiter({ requestsPerMinute: 1, now: () => 0 });
    limiter.take('a', 1);
    expect(limiter.take('b', 1).isAllowed).toBe(true);
  });
});

import { expect, test } from 'vitest';
import { startApp } from './start-app.ts';

const ORIGIN = 'https://app.example.com';
const preflight = {
  origin: ORIGIN,
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization',
};

test('an origin that is configured may call from a browser', async () => {
  const { ask } = await startApp({ config: { security: { cors_origins: [ORIGIN] } } });
  const asked = await ask('OPTIONS', '/api/v1/tasks', { isAnonymous: true, headers: preflight });
  expect(asked.status).toBe(204);
  expect(asked.headers.get('access-control-allow-origin')).toBe(ORIGIN);
  expect(asked.headers.get('access-control-allow-headers')).toBe('authorization');
  const answer = await ask('GET', '/api/v1/statistics', { headers: { origin: ORIGIN } });
  expect(answer.headers.get('access-control-allow-origin')).toBe(ORIGIN);
  expect(answer.headers.get('access-control-expose-headers')).toContain('x-request-id');
  // An answer for one origin is none for another, and no cookie ever counts.
  expect(answer.headers.get('vary')).toContain('Origin');
  expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
  const refused = await ask('GET', '/api/v1/statistics', { isAnonymous: true, headers: { origin: ORIGIN } });
  expect(refused.headers.get('access-control-allow-origin')).toBe(ORIGIN);
});

test('another origin may not, and none by default', async () => {
  const { ask } = await startApp({ config: { security: { cors_origins: [ORIGIN] } } });
  const headers = { origin: 'https://evil.example.com' };
  expect((await ask('GET', '/api/v1/statistics', { headers })).headers.has('access-control-allow-origin')).toBe(false);
  const closed = await startApp();
  expect(
    (await closed.ask('GET', '/api/v1/statistics', { headers: { origin: ORIGIN } })).headers.has(
      'access-control-allow-origin',
    ),
  ).toBe(false);
});

test('an event stream carries the same headers', async () => {
  const { url } = await startApp({ config: { security: { cors_origins: ['*'], enable_auth: false } } });
  const response = await fetch(`${url}/api/v1/events`, { headers: { origin: ORIGIN } });
  expect(response.headers.get('access-control-allow-origin')).toBe('*');
  await response.body?.cancel();
});

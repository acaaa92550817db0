import { expect, test } from 'vitest';
import { startApp } from './start-app.ts';

const MCP = { accept: 'application/json, text/event-stream', 'content-type': 'application/json' };

test('every answer says that it is what its type says, and is kept by nobody', async () => {
  const { ask } = await startApp();
  for (const [method, path, options] of [
    ['GET', '/health', {}],
    ['GET', '/health/ready', {}],
    ['GET', '/metrics', {}],
    ['GET', '/api/v1/statistics', {}],
    ['GET', '/api/v1/statistics', { isAnonymous: true }],
    ['POST', '/api/v1/tasks', { body: '{' }],
    ['GET', '/trpc/stats.get', {}],
    ['GET', '/trpc/nothing', {}],
    ['POST', '/mcp', { body: '{"jsonrpc":"2.0","id":1,"method":"ping"}', headers: MCP }],
    ['GET', '/nowhere', {}],
    ['GET', '/api/v1/%zz', {}],
    ['DELETE', '/api/v1/tasks', {}],
  ] as const) {
    const { headers, status } = await ask(method, path, options);
    const name = `${method} ${path} ${status}`;
    expect(headers.get('x-content-type-options'), name).toBe('nosniff');
    // Streams of MCP have a word of their own for it.
    expect(headers.get('cache-control'), name).toMatch(/no-store|no-cache/);
    // What runs the server is of use to its attackers alone.
    expect([headers.get('server'), headers.get('x-powered-by')], name).toEqual([null, null]);
    // Over plain HTTP a browser has to ignore it, and a proxy with TLS in front says it itself.
    expect(headers.get('strict-transport-security'), name).toBe(null);
  }
});

test('the docs page may be framed by nobody, sends no form and tells nobody where its reader came from', async () => {
  const { ask } = await startApp();
  const { headers } = await ask('GET', '/docs', { isAnonymous: true });
  const policy = headers.get('content-security-policy')?.split('; ');
  expect(policy).toEqual(
    expect.arrayContaining(["default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"]),
  );
  expect(headers.get('referrer-policy')).toBe('no-referrer');
  expect(headers.get('x-content-type-options')).toBe('nosniff');
});

import { describe, expect, test } from 'vitest';
import { aCore } from './fake-core.ts';
import { sendRaw } from './send-raw.ts';
import { startApp, type Answer } from './start-app.ts';

const MCP = { accept: 'application/json, text/event-stream' };

/** What each door carries in a body, around what somebody sends as metadata. */
const DOORS = {
  REST: { path: '/api/v1/tasks', wrap: (metadata: string) => aTaskWith(metadata) },
  tRPC: { path: '/trpc/tasks.create', wrap: (metadata: string) => aTaskWith(metadata) },
  MCP: {
    path: '/mcp',
    wrap: (metadata: string) =>
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_tasks","arguments":{"tasks":[${aTaskWith(metadata)}]}}}`,
  },
} as const;

function aTaskWith(metadata: string): string {
  return `{"work_directory":"/a","prompt":"x","metadata":${metadata}}`;
}

/** A refusal as each door words it. */
function refusalOf({ json }: Answer): { code?: string; details?: { field?: string; message?: string } } {
  return json.error.data ?? json.error;
}

const post = { 'content-type': 'application/json', ...MCP };

describe.each(Object.entries(DOORS))('at the door of %s', (_door, { path, wrap }) => {
  test('a body above the limit is 413, and is not read to its end', async () => {
    const { ask, url } = await startApp({ core: aCore(), config: { server: { body_limit: 1000 } } });
    const answer = await ask('POST', path, { body: wrap(`{"a":"${'x'.repeat(1000)}"}`), headers: post });
    expect([answer.status, refusalOf(answer).code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    const announced = await sendRaw(url, headOf(path, 'content-length: 1000000000'));
    expect(announced.head).toMatch(/^HTTP\/1\.1 413 /);
    const chunked = await sendRaw(
      url,
      `${headOf(path, 'transfer-encoding: chunked')}${'3e8\r\n'.concat('x'.repeat(1000), '\r\n').repeat(3)}`,
    );
    expect(chunked.head).toMatch(/^HTTP\/1\.1 413 /);
  });

  test('a body that is nested without end is 400, however deep', async () => {
    const { ask } = await startApp({ core: aCore() });
    for (const depth of [101, 100_000]) {
      const body = wrap(`${'['.repeat(depth)}${']'.repeat(depth)}`);
      const answer = await ask('POST', path, { body, headers: post });
      expect([answer.status, refusalOf(answer).details?.message]).toEqual([
        400,
        'must not be nested deeper than 100 levels',
      ]);
    }
  });

  test('a key that would change a prototype is 400', async () => {
    const { ask } = await startApp({ core: aCore() });
    const answer = await ask('POST', path, { body: wrap('{"__proto__":{"isAdmin":true}}'), headers: post });
    expect([answer.status, refusalOf(answer).details?.field]).toEqual([400, '__proto__']);
  });

  test('headers and URLs beyond the limit are 431 and 414, before anything else', async () => {
    const { url } = await startApp({ core: aCore() });
    const headers = await sendRaw(url, headOf(path, `x-long: ${'a'.repeat(40_000)}`));
    expect(headers.head).toMatch(/^HTTP\/1\.1 431 /);
    const many = Array.from({ length: 5000 }, (_, index) => `x-${index}: a`).join('\r\n');
    expect((await sendRaw(url, headOf(path, many))).head).toMatch(/^HTTP\/1\.1 431 /);
    expect((await sendRaw(url, headOf(`${path}?${'a'.repeat(40_000)}`, 'x: y'))).head).toMatch(/^HTTP\/1\.1 414 /);
  });
});

test('a batch above the limit is 400 over tRPC and MCP, and runs none of its calls', async () => {
  const { ask } = await startApp({ core: aCore() });
  const calls = Array.from({ length: 101 }, () => 'stats.get').join(',');
  const trpc = await ask('GET', `/trpc/${calls}?batch=1`);
  expect([trpc.status, refusalOf(trpc).details?.field]).toEqual([400, 'path']);
  const messages = Array.from({ length: 101 }, (_, id) => ({ jsonrpc: '2.0', id, method: 'ping' }));
  const mcp = await ask('POST', '/mcp', { body: JSON.stringify(messages), headers: post });
  expect([mcp.status, refusalOf(mcp).details?.message]).toEqual([400, 'must have at most 100 messages']);
});

function headOf(path: string, more: string): string {
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: test-key-of-16-characters-or-more\r\ncontent-type: application/json\r\naccept: ${MCP.accept}\r\n${more}\r\n\r\n`;
}

import { once } from 'node:events';
import { join } from 'node:path';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { aCore, aTask } from './fake-core.ts';
import { KEY, startApp, type RunningApp } from './start-app.ts';

const ID = '01920000-0000-7000-8000-000000000000';
const KEY_LINE = `x-api-key: ${KEY}`;
const TLS = {
  tls_cert: join(import.meta.dirname, 'tls/cert.pem'),
  tls_key: join(import.meta.dirname, 'tls/key.pem'),
};
const QUICK = { config: { server: { timeout: 1 } } };
/** The timeout, and what passes until it is looked at. */
const CUT = { timeout: 6000, interval: 50 };

describe('a client that does not get on is cut after server.timeout', () => {
  test.for([
    ['says nothing', ''],
    ['sends half a request line', 'GET /hea'],
    ['sends half its headers', `POST /api/v1/tasks HTTP/1.1\r\nhost: a\r\n${KEY_LINE}\r\n`],
    [
      'sends half its body',
      `POST /api/v1/tasks HTTP/1.1\r\nhost: a\r\n${KEY_LINE}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"work`,
    ],
  ] as const)('%s', async ([, text]) => {
    const app = await startApp(QUICK);
    const { socket, received } = await open(app, text);
    await once(socket, 'close');
    if (received() !== '') expect(received()).toMatch(/^HTTP\/1\.1 408 /);
    await expect.poll(() => countConnections(app), CUT).toBe(0);
  });

  test.for([
    ['headers', 'GET /health HTTP/1.1\r\nhost: a\r\nx-slow: ', 'a'],
    [
      'a body',
      `POST /api/v1/tasks HTTP/1.1\r\nhost: a\r\n${KEY_LINE}\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n`,
      ' ',
    ],
  ] as const)('drips %s byte by byte', async ([, text, drop]) => {
    const app = await startApp(QUICK);
    const { socket, received } = await open(app, text);
    const tap = setInterval(() => socket.write(drop), 100);
    onTestFinished(() => clearInterval(tap));
    await once(socket, 'close');
    expect(received()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('never takes its answer', async () => {
    const app = await startApp({ ...QUICK, core: aCore({ getTask: () => Promise.resolve(LARGE) }) });
    const { socket } = await open(app, `GET /api/v1/tasks/${ID} HTTP/1.1\r\nhost: a\r\n${KEY_LINE}\r\n\r\n`);
    socket.pause();
    await expect.poll(() => countConnections(app), CUT).toBe(0);
  });

  test('keeps a connection on which nothing is asked any more', async () => {
    const app = await startApp(QUICK);
    app.app.server.keepAliveTimeout = 100;
    const { socket, received } = await open(app, 'GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(socket, 'close');
    expect(received()).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('connects over TLS and never shakes hands', async () => {
    const { socket } = await open(await startApp({ config: { server: { timeout: 1, ...TLS } } }), '');
    await once(socket, 'close');
  });
});

describe('a client that waits, or is only slow, is not', () => {
  test('a long poll', async () => {
    const { ask } = await startApp(QUICK);
    const answer = await ask('GET', '/api/v1/tasks/next?work_path=/a&worker_id=w&wait_seconds=3');
    expect([answer.status, answer.json.data]).toEqual([200, null]);
  });

  test('a stream on which nothing happens', async () => {
    const { url, ask } = await startApp(QUICK);
    const headers = { authorization: `Bearer ${KEY}` };
    const stream = await fetch(`${url}/api/v1/events`, { headers });
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toContain(': open');
    await pause(2500);
    await ask('POST', '/api/v1/tasks', { body: { work_directory: '/a', prompt: 'x' } });
    expect((await reader.read()).value).toContain('event: created');
    await reader.cancel();
  });

  test('who takes a large answer bit by bit gets all of it', async () => {
    const app = await startApp({ ...QUICK, core: aCore({ getTask: () => Promise.resolve(LARGE) }) });
    const text = `GET /api/v1/tasks/${ID} HTTP/1.1\r\nhost: a\r\n${KEY_LINE}\r\nconnection: close\r\n\r\n`;
    const socket = connect(portOf(app), '127.0.0.1');
    onTestFinished(() => void socket.destroy());
    socket.write(text);
    let bytes = 0;
    let isEvenTurn = false;
    for await (const chunk of socket) {
      bytes += (chunk as Buffer).length;
      if ((isEvenTurn = !isEvenTurn)) await pause(5);
    }
    expect(bytes).toBeGreaterThan(LARGE.prompt.length);
  });
});

test('a connection on which no hands were shaken does not hold up the end', async () => {
  const app = await startApp({ config: { server: TLS } });
  const { socket } = await open(app, '');
  await expect.poll(() => countConnections(app), CUT).toBe(1);
  await app.app.close();
  if (!socket.destroyed) await once(socket, 'close');
});

test('a connection above server.max_connections is closed at once, and those that stand go on', async () => {
  const app = await startApp({ config: { server: { max_connections: 3 } } });
  const standing = await Promise.all([1, 2, 3].map(() => open(app, '')));
  const refused = connect(portOf(app), '127.0.0.1');
  refused.on('error', () => undefined);
  await once(refused, 'close');
  const [first] = standing;
  first?.socket.write('GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
  await once(first!.socket, 'close');
  expect(first?.received()).toMatch(/^HTTP\/1\.1 200 /);
  expect(app.log.join('')).toContain('server.max_connections is reached');
  // One has gone, so there is room for one.
  expect((await app.ask('GET', '/health/live')).status).toBe(200);
});

/** More than the system takes off a server's hands for a client that does not read. */
const LARGE = aTask({ prompt: 'x'.repeat(32 * 2 ** 20) });

function portOf({ url }: RunningApp): number {
  return Number(new URL(url).port);
}

async function open(app: RunningApp, text: string): Promise<{ socket: Socket; received: () => string }> {
  const socket = connect(portOf(app), '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  let received = '';
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => (received += String(chunk)));
  await once(socket, 'connect');
  if (text !== '') socket.write(text);
  return { socket, received: () => received };
}

function countConnections({ app }: RunningApp): Promise<number> {
  return new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count)));
}

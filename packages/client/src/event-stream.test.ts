import type { ServerResponse } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startFakeServer, type FakeServer } from '../test/fake-server.ts';
import { createClient, ForbiddenError } from './index.ts';

let server: FakeServer;
const stop = new AbortController();
beforeEach(async () => {
  server = await startFakeServer({});
});
afterEach(() => server.close());

const open = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream' });
const message = (id: number) => `id: ${id}\nevent: created\ndata: {"event_id":"${id}"}\n\n`;

async function take(count: number, input = {}): Promise<string[]> {
  const ids: string[] = [];
  for await (const { event_id } of createClient({ url: server.url }).events.stream(input, { signal: stop.signal })) {
    ids.push(event_id);
    if (ids.length === count) break;
  }
  return ids;
}

test('a broken connection is resumed behind the last event, with nothing lost or doubled', async () => {
  const positions: unknown[] = [];
  server.onEvents = (request, response) => {
    positions.push(request.headers['last-event-id']);
    open(response);
    // The second connection repeats an event, and every one breaks off in the middle of a message.
    if (positions.length === 1) response.write(`: open\n\n${message(1)}${message(2)}id: 3\ndata: {"ev`);
    else response.write(`${message(2)}${message(3)}${message(4)}`);
    setTimeout(() => response.destroy(), 20);
  };
  await expect(take(4)).resolves.toEqual(['1', '2', '3', '4']);
  expect(positions).toEqual([undefined, '2']);
});

test('a position without an event counts', async () => {
  const positions: unknown[] = [];
  server.onEvents = (request, response) => {
    positions.push(request.headers['last-event-id']);
    open(response).write(positions.length === 1 ? 'id: 7\n\n' : message(8));
    if (positions.length === 1) response.end();
  };
  await expect(take(1)).resolves.toEqual(['8']);
  expect(positions).toEqual([undefined, '7']);
});

test('filters travel in the query, and a first position in the header', async () => {
  let seen: unknown[] = [];
  server.onEvents = (request, response) => {
    seen = [request.url, request.headers['last-event-id']];
    open(response).write(message(43));
  };
  await take(1, { work_directory: '/srv/a b', subtree: true, status: undefined, last_event_id: '42' });
  expect(seen).toEqual(['/api/v1/events?work_directory=%2Fsrv%2Fa+b&subtree=true', '42']);
});

test('messages may be cut anywhere', async () => {
  const bytes = [...Buffer.from(`id: 1\r\ndata: {"event_id":\r\ndata: "é1"}\r\n\r\n`)];
  server.onEvents = (_, response) => {
    open(response);
    const writeOne = () => {
      const byte = bytes.shift();
      if (byte !== undefined) response.write(Buffer.from([byte]), () => setImmediate(writeOne));
    };
    writeOne();
  };
  await expect(take(1)).resolves.toEqual(['é1']);
});

test('a refusal ends the stream with its error', async () => {
  server.onEvents = (_, response) =>
    void response
      .writeHead(403)
      .end(JSON.stringify({ error: { code: 'FORBIDDEN', message: 'not yours', details: null } }));
  await expect(take(1)).rejects.toBeInstanceOf(ForbiddenError);
});

test('an abort ends the loop without an error and closes the connection', async () => {
  const controller = new AbortController();
  const closed = new Promise<void>((resolve) => {
    server.onEvents = (_, response) => {
      open(response).write(message(1));
      response.on('close', resolve);
    };
  });
  const ids: string[] = [];
  for await (const { event_id } of createClient({ url: server.url }).events.stream({}, { signal: controller.signal })) {
    ids.push(event_id);
    setTimeout(() => controller.abort(), 10);
  }
  expect(ids).toEqual(['1']);
  await closed;
});

test('a slow reader slows the server down', async () => {
  let written = 0;
  const total = 200_000_000;
  const isFull = new Promise<void>((resolve) => {
    server.onEvents = (_, response) => {
      open(response);
      const line = `id: 1\ndata: "${'x'.repeat(100_000)}"\n\n`;
      while (response.write(line) && written < total) written += line.length;
      resolve();
    };
  });
  const events = createClient({ url: server.url }).events.stream();
  await events.next();
  await isFull;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(written).toBeLessThan(total / 10);
  await events.return?.();
});

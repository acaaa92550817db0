import { createServer, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { TaskEvent } from '@task-orchestrator/contract';
import { expect, onTestFinished, test } from 'vitest';
import { sendEventStream } from '../src/transports/rest/event-stream.ts';
import { KEY, startApp, type RunningApp } from './start-app.ts';

const headers = { authorization: `Bearer ${KEY}` };

/** Reads a stream until it has so many events. */
async function readEvents(
  response: Response,
  count: number,
): Promise<{ id: string; event: string; data: TaskEvent }[]> {
  const events: { id: string; event: string; data: TaskEvent }[] = [];
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks.filter((part) => part.includes('data: '))) {
      const [, id = '', event = '', data = ''] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(block) ?? [];
      events.push({ id, event, data: JSON.parse(data) as TaskEvent });
    }
    if (events.length >= count) break;
  }
  return events;
}

const create = ({ ask }: RunningApp, work_directory = '/a') =>
  ask('POST', '/api/v1/tasks', { body: { work_directory, prompt: 'x' } });

test('an event arrives as server-sent event, with its place in the order as id', async () => {
  const service = await startApp();
  const response = await fetch(`${service.url}/api/v1/events?work_directory=/a`, { headers });
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  expect(response.headers.get('cache-control')).toBe('no-store, no-transform');
  expect(response.headers.get('x-request-id')).toBeTruthy();
  await create(service, '/elsewhere');
  const created = await create(service);
  const [first] = await readEvents(response, 1);
  expect(first).toMatchObject({
    id: first?.data.event_id,
    event: 'created',
    data: { type: 'created', task_id: created.json.data.task_id, status: 'waiting' },
  });
});

test('a stream says where it begins, so that a client that loses it before the first event misses nothing', async () => {
  const service = await startApp();
  await create(service);
  const response = await fetch(`${service.url}/api/v1/events`, { headers });
  const { value } = await response.body!.getReader().read();
  const [, start = ''] = /^: open\nid: (.+)\n\n$/.exec(new TextDecoder().decode(value)) ?? [];
  const created = await create(service);
  const resumed = await fetch(`${service.url}/api/v1/events`, { headers: { ...headers, 'last-event-id': start } });
  const [first] = await readEvents(resumed, 1);
  expect(first?.data.task_id).toBe(created.json.data.task_id);
});

test('Last-Event-ID resumes after that event, with nothing lost', async () => {
  const service = await startApp();
  for (let i = 0; i < 5; i++) await create(service);
  const all = await readEvents(await fetch(`${service.url}/api/v1/events?last_event_id=0`, { headers }), 5);
  const seen = all[1]?.id ?? '';
  const rest = await readEvents(
    await fetch(`${service.url}/api/v1/events`, { headers: { ...headers, 'last-event-id': seen } }),
    3,
  );
  expect(rest.map(({ id }) => id)).toEqual(all.slice(2).map(({ id }) => id));
});

test('a bad filter is refused before the stream begins', async () => {
  const { ask } = await startApp();
  const answer = await ask('GET', '/api/v1/events?status=open');
  expect(answer.status).toBe(400);
  expect(answer.json.error.details.field).toBe('status');
});

test('a stream ends when the service does', async () => {
  const { url, app } = await startApp();
  const response = await fetch(`${url}/api/v1/events`, { headers });
  const text = response.text();
  await app.close();
  expect(await text).toMatch(/^: open\nid: \d+\n\n$/);
});

test('the events end when the client goes away', async () => {
  const ended = Promise.withResolvers<void>();
  const { url } = await startStream(async function* (signal) {
    try {
      await once(signal, 'abort');
      yield* [];
    } finally {
      ended.resolve();
    }
  });
  const leaving = new AbortController();
  await fetch(url, { signal: leaving.signal });
  leaving.abort();
  await ended.promise;
});

test('a comment keeps a silent stream alive', async () => {
  const { url } = await startStream(async function* (signal) {
    await once(signal, 'abort');
    yield* [];
  }, 10);
  const response = await fetch(url);
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes(': ping\n\n')) break;
  }
});

test('a reader that is slow holds the events back', async () => {
  let taken = 0;
  const { url } = await startStream(async function* (signal) {
    while (!signal.aborted) {
      taken += 1;
      yield { id: String(taken), event: 'created', data: 'x'.repeat(100_000) };
      await new Promise(setImmediate);
    }
  });
  const response = await fetch(url);
  const reader = response.body!.getReader();
  await reader.read();
  await expect
    .poll(async () => {
      const before = taken;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return taken - before;
    })
    .toBe(0);
  expect(taken).toBeLessThan(1000);
  await reader.cancel();
});

type Events = Parameters<typeof sendEventStream>[0]['events'];

async function startStream(makeEvents: (signal: AbortSignal) => Events, pingMs?: number): Promise<{ url: string }> {
  const server = createServer((_request, raw) => {
    const leaving = new AbortController();
    raw.on('close', () => leaving.abort());
    const { signal } = leaving;
    void sendEventStream({
      reply: toReply(raw),
      events: makeEvents(signal),
      start: '0',
      signal,
      ...(pingMs && { pingMs }),
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}` };
}

/** The part of a Fastify reply that a stream needs. */
function toReply(raw: ServerResponse) {
  return { raw, hijack: () => undefined, getHeaders: () => ({}) } as unknown as Parameters<
    typeof sendEventStream
  >[0]['reply'];
}

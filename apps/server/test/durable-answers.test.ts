import fs from 'node:fs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { restCall, trpcCall, type Call, type Fields } from './doors.ts';
import { connectAgent } from './mcp/agents.ts';
import { KEY, startApp } from './start-app.ts';

const flush = vi.spyOn(fs, 'fdatasync');
afterEach(() => flush.mockReset());

/** The next flush does not end before it is told how. */
function holdNextFlush(): { begun: Promise<void>; end: (error: Error | null) => void } {
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  let done: (error: Error | null) => void;
  flush.mockImplementationOnce(((_file: number, callback: typeof done) => {
    done = callback;
    resolve();
  }) as typeof fs.fdatasync);
  return { begun, end: (error) => done(error) };
}

const TASK = { work_directory: '/srv/repo', prompt: 'do it' };

async function batchCall(url: string): Promise<Fields> {
  const response = await fetch(`${url}/trpc/tasks.create,tasks.create?batch=1`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ 0: TASK, 1: TASK }),
  });
  const [, second] = (await response.json()) as { result?: { data: Fields }; error?: { data: Fields } }[];
  if (second?.result) return second.result.data;
  throw second?.error?.data; // oxlint-disable-line typescript/only-throw-error
}

async function agentCall(url: string): Promise<Fields> {
  const agent = await connectAgent('raw modern', { url });
  const { isError, value } = await agent.call('create_tasks', { tasks: [TASK] });
  if (isError) throw value.error;
  return value.tasks[0];
}

const create = (call: Call) => call('tasks.create', TASK);

describe.each<[door: string, create: (url: string) => Promise<Fields>]>([
  ['REST', (url) => create(restCall(url, KEY))],
  ['tRPC', (url) => create(trpcCall(url, KEY))],
  ['a tRPC batch', batchCall],
  ['MCP', agentCall],
])('%s', (_door, create) => {
  test('answers a write after its flush', async () => {
    const { url, ask } = await startApp({ config: { database: { durability: 'full' } } });
    const { begun, end } = holdNextFlush();
    let hasAnswered = false;
    const created = create(url).finally(() => (hasAnswered = true));
    await begun;
    // Whoever does not wait for the flush has been answered by the time a later request is.
    for (let request = 0; request < 5; request++) await ask('GET', '/health/live');
    expect(hasAnswered).toBe(false);
    end(null);
    expect(await created).toMatchObject({ status: 'waiting' });
  });

  test('answers nothing but the failure of a flush', async () => {
    const { url } = await startApp({ config: { database: { durability: 'full' } } });
    const { begun, end } = holdNextFlush();
    const created = create(url);
    await begun;
    end(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
    await expect(created).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

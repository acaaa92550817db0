import { randomInt } from 'node:crypto';
import { StreamInput, type TaskEvent } from '@task-orchestrator/contract';
import type { Core } from '@task-orchestrator/core';
import pg from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { z } from 'zod';
import { aTask, anAcquire, completionOf } from '../builders.ts';
import { withClient } from '../postgres-server.ts';
import { openReplicas, until } from './replicas.ts';

/** Events from one server, as they come, until `stop`. */
function follow(core: Core, filter: z.input<typeof StreamInput> = {}): { events: TaskEvent[]; stop(): Promise<void> } {
  const events: TaskEvent[] = [];
  const ending = new AbortController();
  const done = (async () => {
    for await (const event of core.streamEvents(StreamInput.parse(filter), ending.signal)) events.push(event);
  })();
  const stop = async (): Promise<void> => {
    ending.abort();
    await done;
  };
  onTestFinished(stop);
  return { events, stop };
}

async function readAll(url: string): Promise<string[]> {
  const { rows } = await withClient(url, (client) => client.query('SELECT seq FROM events ORDER BY seq'));
  return rows.map(({ seq }) => String(seq));
}

const idsOf = (events: readonly TaskEvent[]): string[] => events.map(({ event_id }) => event_id);

/** A session that has begun a transaction and changed something in it. */
async function beginWriting(url: string, application_name: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('BEGIN');
  await client.query('SELECT pg_current_xact_id()');
  return client;
}

test(
  'what commits late is not overtaken in a stream, and is there after a resume on another server',
  { timeout: 20_000 },
  async () => {
    const { url, cores } = await openReplicas(2);
    const [a, b] = cores as [Core, Core];
    const first = await a.createTask(aTask());
    const live = follow(a, { last_event_id: '0' });
    await until('the first event', () => live.events.length === 1);

    const slow = await beginWriting(url, 'task-orchestrator');
    await slow.query(`INSERT INTO events (task_seq, type, status, attempt, lease_epoch, at)
    SELECT seq, 'created', 'waiting', 0, 0, 0 FROM tasks`);
    const later = [await a.createTask(aTask()), await b.createTask(aTask())];
    // Sequence numbers beyond that of the slow one are committed; nobody may see them yet, on either server.
    const early = follow(b, { last_event_id: live.events[0]!.event_id });
    const isPast = async (): Promise<boolean> =>
      (await withClient(url, (client) => client.query("SELECT 1 FROM events WHERE type = 'created'"))).rows.length ===
      3;
    await until('what committed meanwhile', isPast);
    await expect(
      until('an event before its time', () => live.events.length > 1 || early.events.length > 0, 1_500),
    ).rejects.toThrow();

    await slow.query('COMMIT');
    await until('all events', () => live.events.length === 4 && early.events.length === 3);
    expect(live.events.map(({ task_id }) => task_id)).toEqual([first, first, ...later].map(({ task_id }) => task_id));
    expect(idsOf(live.events)).toEqual(await readAll(url));
    expect(idsOf(early.events)).toEqual(idsOf(live.events).slice(1));
  },
);

test(
  'a reader that hops between servers misses nothing and sees nothing twice while all of them write',
  { timeout: 40_000 },
  async () => {
    const { url, cores } = await openReplicas(3);
    const isWriting = { value: true };
    const write = async (core: Core, index: number): Promise<void> => {
      for (let round = 0; round < 25; round++) {
        await Promise.all(Array.from({ length: 3 }, () => core.createTask(aTask({ work_directory: `/w${index}` }))));
        const { tasks } = await core.acquireTasks(anAcquire({ work_path: `/w${index}`, limit: 2 }));
        await Promise.all(tasks.map((task) => core.completeTask(completionOf(task))));
      }
    };
    const writing = Promise.all(cores.map(write)).then(() => (isWriting.value = false));
    // Transactions of various lengths in between make the order of commits another than that of the keys.
    const disturb = async (): Promise<void> => {
      while (isWriting.value) {
        await withClient(url, async (client) => {
          await client.query("SET application_name = 'task-orchestrator'");
          await client.query('BEGIN; SELECT pg_current_xact_id()');
          await client.query(`INSERT INTO events (task_seq, type, status, attempt, lease_epoch, at)
          SELECT seq, 'created', 'waiting', 0, 0, 0 FROM tasks LIMIT 1`);
          await client.query('SELECT pg_sleep($1)', [randomInt(30) / 1000]);
          await client.query('COMMIT');
        });
      }
    };
    const disturbing = disturb();
    const seen: TaskEvent[] = [];
    const isComplete = async (): Promise<boolean> => !isWriting.value && seen.length === (await readAll(url)).length;
    for (let hop = 0; !(await isComplete()); hop++) {
      const stream = follow(cores[hop % cores.length]!, { last_event_id: seen.at(-1)?.event_id ?? '0' });
      const wanted = 1 + randomInt(40);
      await until(
        'some events',
        async () =>
          stream.events.length >= wanted ||
          (!isWriting.value && seen.length + stream.events.length === (await readAll(url)).length),
      );
      await stream.stop();
      seen.push(...stream.events);
    }
    await Promise.all([writing, disturbing]);
    const rest = follow(cores[0]!, { last_event_id: seen.at(-1)?.event_id ?? '0' });
    const all = await readAll(url);
    await until('the last events', () => seen.length + rest.events.length === all.length);
    seen.push(...rest.events);
    expect(idsOf(seen)).toEqual(all);
    // Whatever transaction was the first to begin: effects come after their causes.
    const own = seen.filter(({ at }) => Date.parse(at) > 0);
    for (const events of Map.groupBy(own, ({ task_id }) => task_id).values()) {
      expect(events.map(({ type }) => type)).toEqual(['created', 'acquired', 'completed'].slice(0, events.length));
    }
  },
);

test('a long transaction that is none of ours does not hold up the streams', { timeout: 20_000 }, async () => {
  const { url, cores } = await openReplicas(2);
  const live = follow(cores[0]!, { last_event_id: '0' });
  await beginWriting(url, 'a report');
  await beginWriting(new URL('/postgres', url).href, 'task-orchestrator');
  const task = await cores[1]!.createTask(aTask());
  await until('the event', () => live.events.length === 1);
  expect(live.events[0]!.task_id).toBe(task.task_id);
});

test('an event of one server reaches a stream on another at once', { timeout: 20_000 }, async () => {
  const { cores } = await openReplicas(2);
  const live = follow(cores[0]!, { last_event_id: '0' });
  const delays: number[] = [];
  for (let round = 0; round < 20; round++) {
    const began = performance.now();
    await cores[1]!.createTask(aTask());
    await until('the event', () => live.events.length === round + 1);
    delays.push(performance.now() - began);
  }
  const p50 = delays.sort((a, b) => a - b)[10]!;
  console.log(`created on one server, seen by a stream on another: p50 ${p50.toFixed(1)} ms`);
  // Far below the second after which a stream looks for itself.
  expect(p50).toBeLessThan(500);
});

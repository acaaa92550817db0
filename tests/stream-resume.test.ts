import { setTimeout as pause } from 'node:timers/promises';
import { OrchestratorError, type AcquiredTask, type Client, type TaskEvent } from '@task-orchestrator/client';
import { expect, onTestFinished, test } from 'vitest';
import { readTasks } from './support/all-tasks.ts';
import { EventReader } from './support/event-reader.ts';
import { ofType } from './support/history.ts';
import type { Random } from './support/random-numbers.ts';
import { seededRandom } from './support/seeded-random.ts';
import { ServerProcess } from './support/server-process.ts';
import { until } from './support/until.ts';

const TASKS = 1500;
const KILLS = 3;
const STOPS = 2;

test('a stream that is resumed after breaks and restarts loses nothing, doubles nothing and keeps the order', async () => {
  const random = seededRandom();
  const server = await ServerProcess.startOnKeptPort();
  const client = server.client({ retry: { attempts: 100, minDelaySeconds: 0.05, maxDelaySeconds: 0.2 } });
  const reader = new EventReader(server);
  const ending = new AbortController();
  onTestFinished(() => ending.abort());
  const reading = keepReading(reader, ending.signal);
  const sdkEvents: TaskEvent[] = [];
  const sdkReading = collect(client.events.stream({ last_event_id: '0' }, { signal: ending.signal }), sdkEvents);

  const breaking = breakOften(reader, random, ending.signal);
  const restarts = [...Array<'kill'>(KILLS).fill('kill'), ...Array<'stop'>(STOPS).fill('stop')];
  const progress = { created: 0 };
  const producing = createAndComplete(client, progress);
  for (const [index, how] of restarts.entries()) {
    const share = (index + random.integer(20, 80) / 100) / restarts.length;
    await until('enough tasks', () => progress.created >= share * TASKS, { withinMs: 30_000 });
    await server[how]();
    await server.start();
  }
  await producing;

  const written = await readEventsTaskByTask(client);
  await until('the last event', () => reader.events.length >= written.length && sdkEvents.length >= written.length);
  ending.abort();
  reader.disconnect();
  await Promise.all([reading, sdkReading, breaking]);
  console.log(`${written.length} events over ${reader.connections} connections and ${restarts.length} restarts`);
  expect(reader.connections).toBeGreaterThan(restarts.length + 5);
  expect(reader.events).toEqual(written);
  expect(sdkEvents).toEqual(written);
});

test('readers that do not read make the server wait, not grow, and lose nothing', async () => {
  // Of a server that kept for each what it has not read, this heap would hold a tenth.
  const server = await ServerProcess.start({ NODE_OPTIONS: '--max-old-space-size=128' });
  const client = server.client();
  // 16 MB of events: far more than sockets take.
  const before = await failTasks(client, { count: 1600, message: 'x'.repeat(10_000) });
  const memoryBefore = await readMemoryMb(client);
  const slow = new EventReader(server);
  const others = Array.from({ length: 59 }, () => new EventReader(server));
  onTestFinished(() => [slow, ...others].forEach((reader) => reader.disconnect()));
  for (const reader of others) await reader.connect();
  const response = await slow.connect();

  // What happens while they stand still is not kept for them either.
  const after = await failTasks(client, { count: 400, message: 'y'.repeat(10_000) });
  const grownMb = (await readMemoryMb(client)) - memoryBefore;
  console.log(`60 readers that stand still before 20 MB of events: the server has grown by ${grownMb} MB`);
  // A third of what it would have to keep; a good part of it is garbage that nobody has been in want of yet.
  expect(grownMb).toBeLessThan(400);

  const failed = () => ofType(slow.events, 'failed').map(({ task_id }) => task_id);
  const reading = slow.consume(response);
  await until('the last event', () => failed().length >= before.length + after.length);
  slow.disconnect();
  await reading;
  expect(failed()).toHaveLength(before.length + after.length);
  expect(new Set(failed())).toEqual(new Set([...before, ...after]));
});

/** Follows the stream over as many connections as it takes. */
async function keepReading(reader: EventReader, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await reader.read().catch(() => pause(20));
}

async function breakOften(reader: EventReader, random: Random, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const wanted = reader.events.length + random.integer(1, 200);
    while (!signal.aborted && reader.events.length < wanted) await pause(1);
    reader.disconnect();
  }
}

async function collect(stream: AsyncIterable<TaskEvent>, events: TaskEvent[]): Promise<void> {
  for await (const event of stream) events.push(event);
}

/** Tasks that are created, acquired and completed a few at a time. */
async function createAndComplete(client: Client, progress: { created: number }): Promise<void> {
  while (progress.created < TASKS) {
    const drafts = Array.from({ length: 10 }, (_, index) => ({
      work_directory: `/stream/${index}`,
      prompt: `task ${progress.created + index}`,
    }));
    await client.tasks.createMany({ tasks: drafts });
    progress.created += drafts.length;
    const { tasks } = await client.tasks.acquire({ worker_id: 'worker', limit: 10 });
    await Promise.all(
      tasks.map(({ task_id, lease_token }) => client.tasks.complete({ task_id, lease_token }).catch(ignoreLostLease)),
    );
  }
}

/** Of an acquire that was repeated after a kill, nothing is to be said here. */
function ignoreLostLease(error: unknown): void {
  if (!(error instanceof OrchestratorError && error.code === 'LEASE_LOST')) throw error;
}

/** Every event there is in the global order, found without the stream. */
async function readEventsTaskByTask(client: Client): Promise<TaskEvent[]> {
  const tasks = await readTasks(client);
  const events = await Promise.all([...tasks.keys()].map((task_id) => client.tasks.events({ task_id })));
  return events.flatMap((page) => page.events).toSorted((a, b) => Number(a.event_id) - Number(b.event_id));
}

async function failTasks(client: Client, { count, message }: { count: number; message: string }): Promise<string[]> {
  const failed: string[] = [];
  while (failed.length < count) {
    const drafts = Array.from({ length: 100 }, () => ({ work_directory: '/big', prompt: 'fail', max_attempts: 1 }));
    await client.tasks.createMany({ tasks: drafts });
    const { tasks } = await client.tasks.acquire({ work_path: '/big', worker_id: 'worker', limit: 100 });
    await Promise.all(tasks.map((task) => failTask(client, task, message)));
    failed.push(...tasks.map(({ task_id }) => task_id));
  }
  return failed;
}

function failTask(client: Client, { task_id, lease_token }: AcquiredTask, message: string): Promise<unknown> {
  return client.tasks.fail({ task_id, lease_token, error: { message } });
}

async function readMemoryMb(client: Client): Promise<number> {
  return Number.parseInt((await client.health.get()).metrics.memory_usage, 10);
}

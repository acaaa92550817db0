import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task, TaskEvent } from '@task-orchestrator/contract';
import { copyDatabase, openCore, type Core, type CopyProgress, type DatabaseOptions } from '@task-orchestrator/core';
import { expect, onTestFinished, test } from 'vitest';
import { aBatchTask, aTask, completionOf, listOf } from '../builders.ts';
import { POLICY } from '../engines.ts';
import { withClient } from '../postgres-server.ts';
import { takeNewTestDatabase } from '../test-database.ts';
import { addSettings, populate } from './populate.ts';

async function aFile(): Promise<DatabaseOptions & { engine: 'sqlite' }> {
  const folder = await mkdtemp(join(tmpdir(), 'task-orchestrator-copy-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return {
    engine: 'sqlite',
    path: join(folder, 'tasks.db'),
    durability: 'normal',
    enableWalMode: true,
    busyTimeoutSeconds: 1,
  };
}

async function aDatabase(): Promise<DatabaseOptions & { engine: 'postgres' }> {
  return {
    engine: 'postgres',
    url: await takeNewTestDatabase(),
    durability: 'normal',
    maxConnections: 5,
    minConnections: 0,
    connectionTimeoutSeconds: 5,
    idleTimeoutSeconds: 60,
  };
}

async function open(database: DatabaseOptions, background = false): Promise<Core> {
  const core = await openCore({ database, task: POLICY, background });
  let closed: Promise<void> | undefined;
  const close = core.close.bind(core);
  const closeOnce = (): Promise<void> => (closed ??= close());
  onTestFinished(closeOnce);
  return { ...core, close: closeOnce };
}

/** Everything that can be asked of a service. */
async function readAll(core: Core): Promise<object> {
  const tasks: Task[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await core.listTasks(listOf({ limit: 100, ...(cursor !== undefined && { cursor }) }));
    tasks.push(...page.tasks);
    if (page.next_cursor === null) break;
    cursor = page.next_cursor;
  }
  const details = await Promise.all(
    tasks.map(async (task) => ({
      task,
      events: (await core.listEvents({ task_id: task.task_id, limit: 1000 })).events,
      logs: (await core.listLogs({ task_id: task.task_id, limit: 1000 })).entries,
    })),
  );
  return {
    details,
    paths: (await core.listPaths({ limit: 1000 })).paths,
    workers: (await core.listWorkers({ limit: 100 })).workers,
    key: await core.keys.findByHash('the hash of a key'),
    counts: (await core.getStatistics()).tasks,
  };
}

async function readStream(
  core: Core,
  after: string,
  isLast: (event: TaskEvent, count: number) => boolean,
): Promise<TaskEvent[]> {
  const ending = new AbortController();
  const events: TaskEvent[] = [];
  for await (const event of core.streamEvents({ last_event_id: after }, ending.signal)) {
    events.push(event);
    if (isLast(event, events.length)) ending.abort();
  }
  return events;
}

test(
  'there and back again: everything moves to PostgreSQL and to SQLite, and goes on there',
  { timeout: 60_000 },
  async () => {
    const [first, second, third] = [await aFile(), await aDatabase(), await aFile()];
    const origin = await open(first);
    await addSettings(origin);
    const held = await populate([origin], 60);
    const before = await readAll(origin);
    await origin.close();

    const report = await copyDatabase({ from: first, to: second });
    expect(report.tasks).toBeGreaterThan(100);
    expect(report.task_logs).toBeGreaterThan(10);
    const moved = [await open(second), await open(second)];
    expect(await readAll(moved[0]!)).toEqual(before);
    // A lease goes on with its token, and what comes now comes after what was there.
    expect(held.length).toBeGreaterThan(1);
    await moved[1]!.completeTask(completionOf(held.pop()!));
    const newest = await moved[0]!.createTask(aTask());
    expect((await moved[0]!.listTasks(listOf({ limit: 1 }))).tasks[0]!.task_id).toBe(newest.task_id);
    const since = await readStream(moved[1]!, String(report.events), ({ type }) => type === 'created');
    // The completion may have made a dependant ready.
    expect(since.map(({ type }) => type).filter((type) => type !== 'ready')).toEqual(['completed', 'created']);

    held.push(...(await populate(moved, 30)));
    // When workers were seen last is written down at the end, at the latest.
    await moved[1]!.close();
    await moved[0]!.tick();
    const inBetween = await readAll(moved[0]!);
    await moved[0]!.close();
    const back = await copyDatabase({ from: second, to: third });
    const home = await open(third);
    expect(await readAll(home)).toEqual(inBetween);
    await home.completeTask(completionOf(held.pop()!));
    const events = await readStream(home, '0', (_event, count) => count === back.events + 1);
    // What comes now comes after all that was copied; a dependant that it makes ready, after it.
    expect(events[back.events]!.type).toBe('completed');
    expect(new Set(events.map(({ event_id }) => event_id)).size).toBe(events.length);
  },
);

test.each(['to PostgreSQL', 'to SQLite'])(
  'a copy %s that is killed goes on where it was',
  { timeout: 60_000 },
  async (direction) => {
    const [file, database] = [await aFile(), await aDatabase()];
    const [from, to] = direction === 'to PostgreSQL' ? [file, database] : [database, file];
    const origin = await open(from);
    for (let batch = 0; batch < 3; batch++) {
      await origin.createTasks({
        tasks: Array.from({ length: 1_000 }, (_, index) => aBatchTask({ prompt: `${batch} ${index}` })),
      });
    }
    const before = await readAll(origin);
    await origin.close();

    for (const table of ['tasks', 'events']) {
      const child = spawn(
        process.execPath,
        [
          '--conditions=to-source',
          join(import.meta.dirname, 'copy-process.ts'),
          JSON.stringify(from),
          JSON.stringify(to),
        ],
        {
          stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        },
      );
      onTestFinished(() => void child.kill('SIGKILL'));
      child.on('message', (progress: CopyProgress) => {
        if (progress.table === table && progress.done >= 1_000) child.kill('SIGKILL');
      });
      await once(child, 'exit');
    }
    await expect(copyDatabase({ from: await aFileLike(from), to })).rejects.toThrow(
      /^the target holds an unfinished copy of /,
    );
    const starts = new Map<string, number>();
    const report = await copyDatabase({
      from,
      to,
      onProgress: ({ table, done }) => starts.set(table, starts.get(table) ?? done),
    });
    expect(report).toMatchObject({ tasks: 3_000, events: 3_000 });
    expect(starts.get('tasks')).toBe(3_000);
    expect(starts.get('events')).toBeGreaterThanOrEqual(1_000);
    expect(await readAll(await open(to))).toEqual(before);
  },
);

/** Another source of the same kind. */
async function aFileLike(database: DatabaseOptions): Promise<DatabaseOptions> {
  const other = database.engine === 'sqlite' ? await aFile() : await aDatabase();
  await (await open(other)).close();
  return other;
}

test('a target with data of its own is refused, and keeps it', async () => {
  const [from, to] = [await aFile(), await aDatabase()];
  for (const database of [from, to]) {
    const core = await open(database);
    await core.createTask(aTask({ prompt: database.engine }));
    await core.close();
  }
  await expect(copyDatabase({ from, to })).rejects.toThrow('the target is not empty: it has 1 row(s) in tasks');
  expect((await (await open(to)).listTasks(listOf())).tasks).toMatchObject([{ prompt: 'postgres' }]);
});

test('a database that a server runs on is neither copied nor copied into', async () => {
  const [file, database] = [await aFile(), await aDatabase()];
  await (await open(file)).close();
  const server = await open(database, true);
  // Once it listens, others see it.
  const isSeen = async (): Promise<boolean> =>
    (
      await withClient(database.url, (client) =>
        client.query(
          "SELECT 1 FROM pg_stat_activity WHERE application_name = 'task-orchestrator listener' AND datname = current_database()",
        ),
      )
    ).rows.length > 0;
  while (!(await isSeen())) await new Promise((resolve) => setTimeout(resolve, 10));
  await expect(copyDatabase({ from: file, to: database })).rejects.toThrow(
    'the target is in use by 1 server(s): end them first',
  );
  await expect(copyDatabase({ from: database, to: file })).rejects.toThrow(
    'the source is in use by 1 server(s): end them first',
  );
  await server.close();
  await open(file);
  await expect(copyDatabase({ from: file, to: database })).rejects.toThrow(/is in use by another server/);
});

test('a source that is not there is not made up', async () => {
  const from = await aFile();
  await expect(copyDatabase({ from, to: await aFile() })).rejects.toThrow(`there is no database ${from.path}`);
});

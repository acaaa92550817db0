import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { openCore, type Core, type DatabaseOptions } from '@task-orchestrator/core';
import { expect, onTestFinished, test } from 'vitest';
import { aBatchTask, prompts, takeAll } from './builders.ts';
import { POLICY, TestClock } from './engines.ts';

/** More than the bands of one look at the start, as if millions of tasks had come and gone in between. */
const SEQS_APART = 1_000_000;

test('after a restart the server knows all of a backlog that lies far apart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'task-orchestrator-bands-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'tasks.db');
  const database = {
    engine: 'sqlite',
    path,
    durability: 'normal',
    enableWalMode: true,
    busyTimeoutSeconds: 1,
  } as const;
  const clock = new TestClock();
  const first = await open(database, clock);
  const later = { run_at: clock.in(5) };
  await first.createTasks({
    tasks: [
      aBatchTask({ work_directory: '/a', prompt: 'a1' }),
      aBatchTask({ work_directory: '/b', prompt: 'b1', priority: 'low' }),
      aBatchTask({ work_directory: '/a', prompt: 'a2' }),
      aBatchTask({ work_directory: '/b', prompt: 'b2', priority: 'high' }),
      aBatchTask({ work_directory: '/a', prompt: 'a3', ...later }),
      aBatchTask({ work_directory: '/a', prompt: 'a4' }),
      aBatchTask({ work_directory: '/c', prompt: 'c1', ...later }),
    ],
  });
  clock.advance(10);
  await first.tick();
  const { tasks: counts } = await first.getStatistics();
  await first.close();
  spread(path);

  const second = await open(database, clock);
  onTestFinished(() => second.close());
  expect(await second.getStatistics()).toMatchObject({ tasks: counts, oldest_waiting_seconds: 10 });
  expect(second.gauges().waiting).toEqual({ low: 1, medium: 5, high: 1 });
  const { paths } = await second.listPaths({ limit: 10 });
  expect(paths.map((entry) => [entry.path, entry.waiting])).toEqual([
    ['/a', 4],
    ['/b', 2],
    ['/c', 1],
  ]);
  const taken = prompts(await takeAll(second, { work_path: undefined }));
  expect(taken[0]).toBe('b2');
  expect(taken.filter((prompt) => prompt.startsWith('a'))).toEqual(['a1', 'a2', 'a4', 'a3']);
  expect(taken.toSorted()).toEqual(['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']);
});

function open(database: DatabaseOptions, clock: TestClock): Promise<Core> {
  return openCore({ database, task: POLICY, background: false, clock: () => clock.now });
}

function spread(path: string): void {
  const database = new SqliteDatabase(path);
  database.exec(`
    UPDATE tasks SET seq = -seq * ${SEQS_APART};
    UPDATE tasks SET seq = -seq;
    UPDATE events SET task_seq = task_seq * ${SEQS_APART};`);
  database.close();
}

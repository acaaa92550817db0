import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { openCore, type Core, type DatabaseOptions } from '@task-orchestrator/core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { anAcquire, aTask, completionOf, listOf, refused, take } from './builders.ts';
import { POLICY } from './engines.ts';

type Done = (error: Error | null) => void;

let folder: string;
let core: Core;
const flush = vi.spyOn(fs, 'fdatasync');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'task-orchestrator-flush-'));
  core = await openCore({ database: databaseIn(folder), task: POLICY, background: false });
});

afterEach(async () => {
  flush.mockReset();
  await core.close();
  await rm(folder, { recursive: true });
});

function databaseIn(folder: string): DatabaseOptions {
  const path = join(folder, 'tasks.db');
  return { engine: 'sqlite', path, durability: 'full', enableWalMode: true, busyTimeoutSeconds: 1 };
}

/** The next flush does not end before it is told how. */
function holdNextFlush(): { begun: Promise<unknown>; end: Done } {
  const held: { end?: Done } = {};
  const begun = new Promise((resolve) => {
    flush.mockImplementationOnce(((_file: number, done: Done) => {
      held.end = done;
      resolve(null);
    }) as typeof fs.fdatasync);
  });
  return { begun, end: (error) => held.end!(error) };
}

test('neither a write nor a read that has seen it is answered before the log is on the disk', async () => {
  const { begun, end } = holdNextFlush();
  const answers: string[] = [];
  const created = core.createTask(aTask()).then(() => answers.push('created'));
  await begun;
  const listed = core.listTasks(listOf()).then(({ tasks }) => answers.push(`listed ${tasks.length}`));
  // Whoever does not wait for the flush is through with this many turns.
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(answers).toEqual([]);
  end(null);
  await Promise.all([created, listed]);
  expect(answers.toSorted()).toEqual(['created', 'listed 1']);
});

test('a commit whose flush fails is answered as one that may have happened', async () => {
  const { begun, end } = holdNextFlush();
  const created = core.createTask(aTask({ idempotency_key: 'mine' }));
  await begun;
  end(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  const refusal = await refused('UNAVAILABLE', created);
  expect(refusal.message).toContain('which may have happened');
  flush.mockClear();
  await core.createTask(aTask({ idempotency_key: 'mine' }));
  expect((await core.listTasks(listOf())).total).toBe(1);
  // What one flush could not bring to the disk the next one would pass by: all is in the database itself by now.
  expect(flush).not.toHaveBeenCalled();
  expect(fs.statSync(join(folder, 'tasks.db-wal')).size).toBe(0);
  await core.createTask(aTask());
  expect(flush).toHaveBeenCalledOnce();
});

test('an answer is put together while the log is flushed, and given out after it', async () => {
  const { begun, end } = holdNextFlush();
  const steps: string[] = [];
  const answered = core
    .durably(core.early.createTask(aTask()), ({ status }) => steps.push(`prepared ${status}`))
    .then(() => steps.push('given out'));
  await begun;
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(steps).toEqual(['prepared waiting']);
  end(null);
  await answered;
  expect(steps).toEqual(['prepared waiting', 'given out']);
});

test('a refusal waits for the flush of what it is about, and is none when that fails', async () => {
  await core.createTask(aTask());
  const task = await take(core);
  const { begun, end } = holdNextFlush();
  let hasHeard = false;
  const released = core.releaseTask({ task_id: task.task_id, lease_token: task.lease_token });
  const completed = core.heartbeat({ task_id: task.task_id, lease_token: task.lease_token });
  const heard = completed.catch(() => (hasHeard = true));
  await begun;
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  expect(hasHeard).toBe(false);
  end(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  await Promise.all([refused('UNAVAILABLE', released), refused('UNAVAILABLE', completed), heard]);
});

test('nor is a failure forgotten that comes while the answer is still being looked up, or at once', async () => {
  const { begun, end } = holdNextFlush();
  const set = core.setPath({ path: '/srv/repo', weight: 2 });
  await begun;
  // By the time the path is read, the failure has passed by.
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  end(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  await refused('UNAVAILABLE', set);
  // The log is suspect now, and cannot be emptied while somebody reads it: that fails in the turn of the commit itself.
  const reader = new SqliteDatabase(join(folder, 'tasks.db'), { readonly: true });
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM tasks').get();
  await refused('UNAVAILABLE', core.createTask(aTask()));
  reader.close();
  await core.createTask(aTask());
});

test('tasks whose caller goes away while the hand-out is flushed go back at once', async () => {
  const { task_id } = await core.createTask(aTask());
  const caller = new AbortController();
  const { begun, end } = holdNextFlush();
  const acquired = core.acquireTasks(anAcquire({ wait_seconds: 30 }), caller.signal);
  await begun;
  // The answer is as good as under way.
  await new Promise(setImmediate);
  caller.abort();
  end(null);
  await acquired;
  expect(await take(core, { wait_seconds: 30 })).toMatchObject({ task_id, attempt: 1, lease_epoch: 2 });
});

test('tasks of a poll that a failed flush keeps from being answered go back at once', async () => {
  const polled = core.acquireTasks(anAcquire({ wait_seconds: 30 }));
  const { begun, end } = holdNextFlush();
  const elsewhere = core.createTask(aTask({ work_directory: '/srv/other', run_at: '2100-01-01T00:00:00.000Z' }));
  await begun;
  end(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  await refused('UNAVAILABLE', elsewhere);
  const { task_id } = await core.createTask(aTask());
  // It got the task after the failure, but may have seen what is lost.
  await refused('UNAVAILABLE', polled);
  expect(await take(core, { wait_seconds: 30 })).toMatchObject({ task_id, attempt: 1, lease_epoch: 2 });
});

test('each commit is flushed once', async () => {
  flush.mockClear();
  await Promise.all([core.createTask(aTask()), core.createTask(aTask())]);
  await core.createTask(aTask());
  expect(flush).toHaveBeenCalledTimes(2);
});

test('a commit that has written nothing is not flushed', async () => {
  await core.createTask(aTask());
  const task = await take(core);
  await core.completeTask(completionOf(task));
  flush.mockClear();
  expect(await core.acquireTasks(anAcquire({ acquire_id: 'mine' }))).toMatchObject({ tasks: [] });
  await core.completeTask(completionOf(task));
  expect(flush).not.toHaveBeenCalled();
});

test('nor is it answered before what it has read is on the disk', async () => {
  await core.createTask(aTask());
  const task = await take(core);
  const { begun, end } = holdNextFlush();
  const completed = core.completeTask(completionOf(task));
  await begun;
  end(Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO' }));
  await refused('UNAVAILABLE', completed);
  // Its repetition finds it done, and the log with a hole.
  await core.completeTask(completionOf(task));
  expect(fs.statSync(join(folder, 'tasks.db-wal')).size).toBe(0);
});

test('what a crash may have left in the log is on the disk before anybody hears of it', async () => {
  await core.close();
  flush.mockClear();
  core = await openCore({ database: databaseIn(folder), task: POLICY, background: false });
  expect(flush).toHaveBeenCalledOnce();
});

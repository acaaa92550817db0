// The bare limits of the disk and of SQLite: bare-sqlite.ts <folder> <scale>. Prints rates per second.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { aPayload } from './queue.ts';

const GROUP = 64;
const SCHEMA = `
  CREATE TABLE tasks (
    id INTEGER PRIMARY KEY, work_directory TEXT NOT NULL, prompt TEXT NOT NULL, priority INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, lease_until INTEGER,
    created_at INTEGER NOT NULL, finished_at INTEGER
  );
  CREATE INDEX waiting ON tasks (priority DESC, id) WHERE state = 0;
  CREATE TABLE history (id INTEGER PRIMARY KEY, task INTEGER NOT NULL, at INTEGER NOT NULL, state INTEGER NOT NULL);`;

interface Held {
  id: number;
  epoch: number;
}

if (import.meta.main) {
  const [dir = '.', scale = '1'] = process.argv.slice(2);
  process.stdout.write(`@@${JSON.stringify(measure(dir, Number(scale)))}\n`);
}

function measure(dir: string, scale: number): Record<string, number> {
  const flushes = Math.ceil(2000 * scale);
  const groups = Math.ceil(600 * scale);
  const singles = Math.ceil(4000 * scale);
  const store = openStore(join(dir, 'bare.db'));
  warmUp(store);
  return {
    flushes: flushRate(join(dir, 'raw'), flushes),
    ...prefixed('group_of_64', lifeCycleRates(store, groups, GROUP)),
    ...prefixed('no_grouping', lifeCycleRates(store, singles, 1)),
  };
}

function flushRate(file: string, count: number): number {
  const handle = openSync(file, 'w');
  const block = Buffer.alloc(4096, 1);
  const rate = rateOf(count, () => {
    for (let index = 0; index < count; index++) {
      writeSync(handle, block);
      fdatasyncSync(handle);
    }
  });
  closeSync(handle);
  return rate;
}

type Store = ReturnType<typeof openStore>;

/** A queue with nothing but a waiting index, a history row a change and a fencing epoch: less than any real one does. */
function openStore(file: string) {
  const database = new Database(file);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec(SCHEMA);
  const insert = database.prepare(
    'INSERT INTO tasks (work_directory, prompt, priority, created_at) VALUES (?, ?, ?, ?)',
  );
  const note = database.prepare('INSERT INTO history (task, at, state) VALUES (?, ?, ?)');
  const take = database.prepare<[number, number], Held>(
    `UPDATE tasks SET state = 1, epoch = epoch + 1, lease_until = ?
     WHERE id IN (SELECT id FROM tasks WHERE state = 0 ORDER BY priority DESC, id LIMIT ?)
     RETURNING id, epoch, work_directory, prompt, priority`,
  );
  const finish = database.prepare(
    'UPDATE tasks SET state = 2, finished_at = ? WHERE id = ? AND epoch = ? AND state = 1',
  );
  return {
    create: database.transaction((count: number) => {
      const now = Date.now();
      for (let index = 0; index < count; index++) {
        const { work_directory, prompt, priority } = aPayload(index);
        note.run(insert.run(work_directory, prompt, priority, now).lastInsertRowid, now, 0);
      }
    }),
    acquire: database.transaction((count: number) => {
      const now = Date.now();
      const held = take.all(now + 30_000, count);
      for (const { id } of held) note.run(id, now, 1);
      return held;
    }),
    complete: database.transaction((held: readonly Held[]) => {
      const now = Date.now();
      for (const { id, epoch } of held) {
        finish.run(now, id, epoch);
        note.run(id, now, 2);
      }
    }),
  };
}

function warmUp({ create, acquire, complete }: Store): void {
  for (let index = 0; index < 10; index++) {
    create(GROUP);
    complete(acquire(GROUP));
  }
}

/** @param size tasks of one commit. */
function lifeCycleRates({ create, acquire, complete }: Store, commits: number, size: number): Record<string, number> {
  const groups = Array.from({ length: commits });
  let held: Held[][] = [];
  const rate = (work: () => void) => rateOf(commits * size, work);
  return {
    create: rate(() => groups.forEach(() => create(size))),
    acquire: rate(() => (held = groups.map(() => acquire(size)))),
    complete: rate(() => held.forEach((one) => complete(one))),
    life_cycle: rate(() => {
      for (const _ of groups) {
        create(size);
        complete(acquire(size));
      }
    }),
  };
}

function rateOf(count: number, work: () => void): number {
  const startedAt = performance.now();
  work();
  return (count / (performance.now() - startedAt)) * 1000;
}

function prefixed(prefix: string, rates: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(rates).map(([name, rate]) => [`${prefix}_${name}`, rate]));
}

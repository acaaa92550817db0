import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Engine, Transaction } from '../src/db/engine.ts';
import { migrate } from '../src/db/migrate.ts';
import { openSqliteEngine } from '../src/db/sqlite/sqlite-engine.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'task-orchestrator-transaction-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe.each(['file', 'memory'])('in a %s', (place) => {
  let engine: Engine;

  beforeEach(async () => {
    engine = openSqliteEngine({
      path: place === 'file' ? join(folder, 'tasks.db') : ':memory:',
      durability: 'full',
      enableWalMode: true,
      busyTimeoutSeconds: 1,
      clock: () => 0,
    });
    await migrate(engine);
  });

  afterEach(() => engine.close());

  const addWorker = ({ kysely }: Transaction, worker_id: string) =>
    kysely.insertInto('workers').values({ worker_id, last_seen_at: 0, last_acquire_at: null }).execute();

  async function workers(): Promise<string[]> {
    const rows = await engine.reader.kysely.selectFrom('workers').select('worker_id').orderBy('worker_id').execute();
    return rows.map(({ worker_id }) => worker_id);
  }

  test('nobody reads what a transaction has written before it is committed', async () => {
    const seen: Promise<string[]>[] = [];
    await engine.transaction(async (tx) => {
      await addWorker(tx, 'a');
      seen.push(workers());
      // Who does not wait has read by now.
      await new Promise(setImmediate);
      await addWorker(tx, 'b');
    });
    // A file has a second connection; in memory the read waits for the end.
    expect(await seen[0]).toEqual(place === 'file' ? [] : ['a', 'b']);
    expect(await workers()).toEqual(['a', 'b']);
  });

  test('of one that fails nothing is left, and the next goes on', async () => {
    const failed = engine.transaction(async (tx) => {
      await addWorker(tx, 'a');
      throw new Error('half way');
    });
    await expect(failed).rejects.toThrow('half way');
    await engine.transaction((tx) => addWorker(tx, 'b'));
    expect(await workers()).toEqual(['b']);
  });

  test('those that come together run one after the other, in the order in which they came', async () => {
    const steps: string[] = [];
    const run = (name: string) =>
      engine.transaction(async (tx) => {
        steps.push(`${name} begins`);
        await addWorker(tx, name);
        await new Promise(setImmediate);
        steps.push(`${name} ends`);
      });
    await Promise.all(['a', 'b', 'c'].map(run));
    expect(steps).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    expect(await workers()).toEqual(['a', 'b', 'c']);
  });
});

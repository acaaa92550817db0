import { reencryptDatabase, type EncryptionKeys } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { aBatchTask, aTask, completionOf, listOf, logOf, refused, take, takeAll } from '../builders.ts';
import { forEachDurableEngine, type OpenedCore, type Place } from '../engines.ts';
import { aKey, keys, query, readStored } from './raw.ts';

const SECRET = 'unmistakable';
const KEYED = aTask({ idempotency_key: 'k', prompt: `${SECRET} and keyed` });

/** Tasks of every kind, among them what begins like a stored value. */
async function fill({ core }: OpenedCore, count = 120): Promise<void> {
  const task = await core.createTask(KEYED);
  await core.createTask(aTask({ prompt: '\u00010:odd' }));
  const tasks = Array.from({ length: count }, (_, index) => aBatchTask({ prompt: `${SECRET} prompt ${index}` }));
  await core.createTasks({ tasks });
  const held = await take(core);
  expect(held.task_id).toBe(task.task_id);
  for (let page = 0; page < 3; page++) {
    await core.appendLog(
      logOf(held, ...Array.from({ length: 50 }, (_, index) => `${SECRET} line ${page} ${index}`), ''),
    );
  }
  await core.completeTask(completionOf(held, { result: { output: `${SECRET} output` } }));
}

/** All that was written, and whether a repeat is known for one. */
async function readAll({ core }: OpenedCore) {
  const { tasks } = await core.listTasks(listOf({ limit: 100 }));
  const { task_id } = await core.createTask(KEYED);
  await refused('IDEMPOTENCY_MISMATCH', core.createTask({ ...KEYED, prompt: 'other' }));
  const { entries } = await core.listLogs({ task_id, limit: 1000 });
  return { tasks, entries, keyed: await core.getTask({ task_id }) };
}

/** Opens, does something, and closes. */
async function using<Result>(place: Place, encryption: EncryptionKeys, work: (opened: OpenedCore) => Promise<Result>) {
  const opened = await place.open({ encryption });
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

const PLAIN = keys(null);
/** The prompts, and the log: 3 pages of 51 lines. */
const ALL = { tasks: 122, task_logs: 153 };

forEachDurableEngine((createPlace) => {
  test('a plain database becomes an encrypted one, with nothing plain left in its files, and plain again', async () => {
    const place = await createPlace();
    const { database } = place;
    await using(place, PLAIN, fill);
    const before = await using(place, PLAIN, readAll);
    expect(await readStored(database)).toContain(SECRET);

    const encryption = keys(aKey());
    const report = await reencryptDatabase({ database, encryption });
    expect(report).toEqual({ keyId: expect.stringMatching(/^[0-9a-f]{12}$/), rows: ALL });
    expect(await readStored(database)).not.toContain(SECRET);
    expect(await using(place, encryption, readAll)).toEqual(before);
    await expect(place.open()).rejects.toThrow(`encrypted under key ${report.keyId}`);

    const back = await reencryptDatabase({ database, encryption: keys(null, encryption.current!) });
    expect(back).toEqual({ keyId: null, rows: ALL });
    expect(await using(place, PLAIN, readAll)).toEqual(before);
  });

  test('under a new key everything reads the same, repeats are known, and the old key is not needed any more', async () => {
    const place = await createPlace();
    const { database } = place;
    const [old, next] = [aKey(), aKey()];
    await using(place, keys(old), fill);
    const before = await using(place, keys(next, old), readAll);
    await expect(place.open({ encryption: keys(next) })).rejects.toThrow(/encrypted under key/);
    await expect(reencryptDatabase({ database, encryption: keys(next) })).rejects.toThrow(/encrypted under key/);
    expect((await reencryptDatabase({ database, encryption: keys(next, old) })).rows).toEqual(ALL);
    expect(await using(place, keys(next), readAll)).toEqual(before);
    expect((await reencryptDatabase({ database, encryption: keys(next) })).rows).toEqual({ tasks: 0, task_logs: 0 });
  });

  test('what was cut off goes on where it was, and both keys are needed until it is through', async () => {
    const place = await createPlace();
    const { database } = place;
    const [old, next] = [aKey(), aKey()];
    await using(place, keys(old), fill);
    const encryption = keys(next, old);
    const before = await using(place, encryption, readAll);
    const done: number[] = [];
    const cutOff = reencryptDatabase({
      database,
      encryption,
      onProgress(progress) {
        done.push(progress.done);
        expect(progress).toMatchObject({ table: 'tasks', total: 122 });
        if (progress.done === 100) throw new Error('cut off');
      },
    });
    await expect(cutOff).rejects.toThrow('cut off');
    expect(done).toEqual([50, 100]);
    for (const key of [old, next])
      await expect(place.open({ encryption: keys(key) })).rejects.toThrow(/encrypted under key/);
    expect(await using(place, encryption, readAll)).toEqual(before);
    expect((await reencryptDatabase({ database, encryption })).rows).toEqual({ ...ALL, tasks: 22 });
    expect(await using(place, keys(next), readAll)).toEqual(before);
  });

  test('a value that cannot be read is left as it is and named, the others are written, and its key stays needed', async () => {
    const place = await createPlace();
    const { database } = place;
    const [old, next] = [aKey(), aKey()];
    await using(place, keys(old), fill);
    await query(database, 'UPDATE tasks SET prompt = (SELECT prompt FROM tasks WHERE seq = 7) WHERE seq = 9');
    const [broken] = await query(database, 'SELECT task_id FROM tasks WHERE seq = 9');
    const refusal = `1 row(s) were left as they are: the prompt of task ${String(broken!['task_id'])} cannot be decrypted: it was damaged`;
    for (let run = 0; run < 2; run++) {
      await expect(reencryptDatabase({ database, encryption: keys(next, old) })).rejects.toThrow(refusal);
    }
    await expect(place.open({ encryption: keys(next) })).rejects.toThrow(/encrypted under key/);
    // A hand-out fails the task; what was around it is under the new key.
    const { core } = await place.open({ encryption: keys(next, old) });
    expect(await takeAll(core)).toHaveLength(120);
  });

  test('a database that a server works on is decrypted by nobody', async () => {
    const place = await createPlace();
    const key = aKey();
    await place.open({ encryption: keys(key), background: true });
    const decrypt = () => reencryptDatabase({ database: place.database, encryption: keys(null, key) });
    await expect.poll(() => decrypt().catch(String), { timeout: 5000 }).toMatch(/is in use by (another|1) server/);
  });

  test('a database that is not there is not made', async () => {
    const { database } = await createPlace();
    if (database.engine !== 'sqlite') return;
    await expect(reencryptDatabase({ database, encryption: keys(aKey()) })).rejects.toThrow(/^there is no database /);
  });
});

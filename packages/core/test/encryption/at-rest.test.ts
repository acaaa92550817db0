import { backUpDatabase, copyDatabase } from '@task-orchestrator/core';
import { readFile } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { aTask, cancelOf, completionOf, listOf, logOf, refused, statusOf, take } from '../builders.ts';
import { forEachDurableEngine, type OpenedCore, type Place } from '../engines.ts';
import { aKey, keys, query, readStored } from './raw.ts';

const PROMPT = 'the unmistakable prompt';
const OUTPUT = 'the unmistakable output';
const LINE = 'the unmistakable line';
const TEXTS = [PROMPT, OUTPUT, LINE];

/** A task with a prompt, a result and a log. */
async function work({ core }: OpenedCore, more: Parameters<typeof aTask>[0] = {}) {
  const { task_id } = await core.createTask(aTask({ prompt: PROMPT, ...more }));
  const task = await take(core);
  await core.appendLog(logOf(task, LINE, '\u00011:'));
  await core.completeTask(completionOf(task, { result: { output: OUTPUT } }));
  return task_id;
}

async function expectWork({ core }: OpenedCore, task_id: string) {
  expect(await core.getTask({ task_id })).toMatchObject({ prompt: PROMPT, result: { output: OUTPUT } });
  const { entries } = await core.listLogs({ task_id, limit: 10 });
  expect(entries.map(({ text }) => text)).toEqual([LINE, '\u00011:']);
}

function expectNone(stored: string, texts: readonly string[] = TEXTS) {
  expect(texts.filter((text) => stored.includes(text))).toEqual([]);
}

forEachDurableEngine((createPlace) => {
  test('prompts, results and logs are nowhere in the database, also of tasks that a key stands for', async () => {
    const place = await createPlace();
    const opened = await place.open({ encryption: keys(aKey()) });
    const task_id = await work(opened, { idempotency_key: 'k' });
    await opened.core.createTask(aTask({ prompt: 'it says RESULT_FAILURE' }));
    await opened.core.completeTask(
      completionOf(await take(opened.core), { result: { status: 'failure', output: OUTPUT } }),
    );
    const stored = await readStored(place.database);
    expect(stored).toContain(task_id);
    expectNone(stored);
    await expectWork(opened, task_id);
    await opened.close();
    expectNone(await readStored(place.database));
  });

  test('what was stored before there was a key is read as it is, beside what comes encrypted', async () => {
    const place = await createPlace();
    const before = await place.open();
    const old = await work(before);
    const odd = await before.core.createTask(aTask({ prompt: '\u00011:odd' }));
    await before.close();
    const after = await place.open({ encryption: keys(aKey()) });
    const young = await work(after, { priority: 'high' });
    for (const task_id of [old, young]) await expectWork(after, task_id);
    expect((await after.core.getTask(odd)).prompt).toBe('\u00011:odd');
    const rows = await query(place.database, "SELECT prompt FROM tasks WHERE status = 'completed' ORDER BY seq");
    expect(rows.map(({ prompt }) => prompt === PROMPT)).toEqual([true, false]);
  });

  test('after a change of keys old values are read and new ones are under the new key, and a repeat is a repeat', async () => {
    const place = await createPlace();
    const [first, second] = [aKey(), aKey()];
    const before = await place.open({ encryption: keys(first) });
    const task_id = await work(before, { idempotency_key: 'k' });
    await before.close();
    const after = await place.open({ encryption: keys(second, first) });
    await expectWork(after, task_id);
    expect((await after.core.createTask(aTask({ prompt: PROMPT, idempotency_key: 'k' }))).task_id).toBe(task_id);
    await refused('IDEMPOTENCY_MISMATCH', after.core.createTask(aTask({ prompt: 'other', idempotency_key: 'k' })));
    await expectWork(after, await work(after));
    const rows = await query(place.database, 'SELECT prompt FROM tasks ORDER BY seq');
    expect(new Set(rows.map(({ prompt }) => String(prompt).split(':')[1])).size).toBe(2);
  });

  test('a core without the key, or with another one, does not start, and says which is missing', async () => {
    const place = await createPlace();
    const key = aKey();
    const opened = await place.open({ encryption: keys(key) });
    const task_id = await work(opened);
    await opened.close();
    const missing =
      /^the database has values that are encrypted under key [0-9a-f]{12}, and there is no database.encryption_key: set it$/;
    await expect(place.open()).rejects.toThrow(missing);
    const wrong =
      /^the database has values that are encrypted under key [0-9a-f]{12}; given is [0-9a-f]{12}: set database.encryption_key to/;
    await expect(place.open({ encryption: keys(aKey()) })).rejects.toThrow(wrong);
    await expectWork(await place.open({ encryption: keys(key) }), task_id);
  });

  test('values that were swapped between tasks are not read as if they were their own', async () => {
    const { place, opened } = await openEncrypted(createPlace);
    const [one, two] = [await work(opened), await work(opened)];
    const rows = await query(place.database, 'SELECT prompt, result FROM tasks ORDER BY seq');
    for (const column of ['prompt', 'result']) {
      const stored = rows.map((row) => String(row[column]));
      await writeColumn(place, column, { [one]: stored[1]!, [two]: stored[0]! });
      for (const task_id of [one, two]) {
        const { message } = await refused('INTERNAL_ERROR', opened.core.getTask({ task_id }));
        expect(message).toBe(
          `the ${column} of task ${task_id} cannot be decrypted: it was damaged, or moved here from another task`,
        );
      }
      await writeColumn(place, column, { [one]: stored[0]!, [two]: stored[1]! });
    }
    await query(place.database, `UPDATE task_logs SET task_seq = 3 - task_seq`);
    const { message } = await refused('INTERNAL_ERROR', opened.core.listLogs({ task_id: one, limit: 10 }));
    expect(message).toContain(`the log of task ${one} cannot be decrypted`);
  });

  test('a task whose prompt is damaged fails at its hand-out with a reason, and its worker gets the next one', async () => {
    const observer = { onError: vi.fn() };
    const { place, opened } = await openEncrypted(createPlace, { observer });
    const { core } = opened;
    const broken = await core.createTask(aTask({ prompt: PROMPT, priority: 'high' }));
    const dependant = await core.createTask(aTask({ depends_on: [broken.task_id], prompt: 'after it' }));
    const good = await core.createTask(aTask({ prompt: 'good' }));
    await damage(place, broken.task_id);
    expect(await take(core, { acquire_id: 'a', limit: 2 })).toMatchObject({ task_id: good.task_id, prompt: 'good' });
    const [row] = await query(
      place.database,
      `SELECT status, error, attempt FROM tasks WHERE task_id = '${broken.task_id}'`,
    );
    const message = `the prompt of task ${broken.task_id} cannot be decrypted: it was damaged, or moved here from another task`;
    expect(row).toMatchObject({ status: 'failed', attempt: 1 });
    expect(JSON.parse(String(row!['error']))).toEqual({ code: 'UNREADABLE', message, retryable: false });
    expect(observer.onError.mock.calls).toEqual([[expect.objectContaining({ message }), 'hand-out of a task']]);
    expect(await statusOf(core, dependant)).toBe('cancelled');
  });

  test('a task that cannot be read can be cancelled and retried, and no other answer suffers', async () => {
    const { place, opened } = await openEncrypted(createPlace);
    const { core } = opened;
    const broken = await core.createTask(aTask({ prompt: PROMPT, tags: ['broken'] }));
    const good = await core.createTask(aTask({ prompt: 'good' }));
    await damage(place, broken.task_id);
    const answers = await Promise.allSettled([core.cancelTask(cancelOf(broken)), core.cancelTask(cancelOf(good))]);
    expect(answers).toMatchObject([
      { status: 'rejected', reason: { code: 'INTERNAL_ERROR' } },
      { status: 'fulfilled' },
    ]);
    expect(await core.retryTasks({ filter: {}, dry_run: false })).toEqual({ matched: 2, changed: 2 });
    expect(await core.cancelTasks({ filter: { tag: 'broken' }, force: false, dry_run: false })).toEqual({
      matched: 1,
      changed: 1,
    });
    await refused('INTERNAL_ERROR', core.listTasks(listOf()));
    expect((await core.listTasks(listOf({ status: 'waiting' }))).tasks).toMatchObject([{ prompt: 'good' }]);
    expect((await core.listEvents({ task_id: broken.task_id, limit: 10 })).events.at(-1)).toMatchObject({
      type: 'cancelled',
    });
  });

  test('a prompt that is damaged fails the calls that ask for it, and not those of its commit', async () => {
    const { place, opened } = await openEncrypted(createPlace);
    const { core } = opened;
    const drafts = [aTask({ idempotency_key: 'k', prompt: PROMPT }), aTask({ prompt: 'good' })];
    for (const draft of drafts) await core.createTask(draft);
    const held = [await take(core), await take(core)];
    await damage(place, held[0]!.task_id, 'prompt');
    const completions = held.map((task) => core.completeTask(completionOf(task, { original_prompt: task.prompt })));
    expect(await Promise.allSettled(completions)).toMatchObject([
      { reason: { code: 'INTERNAL_ERROR' } },
      { status: 'fulfilled' },
    ]);
    expect(await Promise.allSettled(drafts.map((draft) => core.createTask(draft)))).toMatchObject([
      { reason: { code: 'INTERNAL_ERROR' } },
      { status: 'fulfilled' },
    ]);
    await core.completeTask(completionOf(held[0]!));
  });

  test('a task under a key that this server does not know goes back for another attempt', async () => {
    const { place, opened } = await openEncrypted(createPlace);
    const { core, clock } = opened;
    const task = await core.createTask(aTask({ prompt: PROMPT, max_attempts: 2 }));
    const [row] = await query(place.database, 'SELECT prompt FROM tasks');
    const stored = String(row!['prompt']);
    await query(place.database, `UPDATE tasks SET prompt = '${stored.replace(/:[0-9a-f]{12}:/, ':0123456789ab:')}'`);
    expect(
      (await core.acquireTasks({ worker_id: 'w', work_path: '/repo', subtree: false, limit: 1, wait_seconds: 0 }))
        .tasks,
    ).toEqual([]);
    const [held] = await query(place.database, 'SELECT status, error FROM tasks');
    expect(held).toMatchObject({
      status: 'scheduled',
      error: expect.stringContaining('does not know its key 0123456789ab'),
    });
    await query(place.database, `UPDATE tasks SET prompt = '${stored}'`);
    clock.advance(3600);
    await core.tick();
    expect(await take(core)).toMatchObject({ task_id: task.task_id, prompt: PROMPT, attempt: 2 });
  });

  test('limits are those of the plain text', async () => {
    const { opened } = await openEncrypted(createPlace, { task: { maxLogBytes: 200 } });
    const { core } = opened;
    const prompt = 'é'.repeat(128 * 1024);
    await core.createTask(aTask({ prompt }));
    const task = await take(core);
    expect(task.prompt).toBe(prompt);
    expect(await core.appendLog(logOf(task, 'x'.repeat(160)))).toEqual({ appended: 1, truncated: false });
    const output = 'x'.repeat(1024 * 1024 - 100);
    await core.completeTask(completionOf(task, { result: { output } }));
    expect((await core.getTask(task)).result).toMatchObject({ output });
  });

  test('a copy into another database needs no key, stays encrypted, and is refused without it', async () => {
    const [place, target] = [await createPlace(), await createPlace()];
    const encryption = keys(aKey());
    const opened = await place.open({ encryption });
    const task_id = await work(opened);
    await opened.close();
    await copyDatabase({ from: place.database, to: target.database });
    expectNone(await readStored(target.database));
    await expect(target.open()).rejects.toThrow(/encrypted under key/);
    await expectWork(await target.open({ encryption }), task_id);
  });

  test('a backup is encrypted like its original', async () => {
    const place = await createPlace();
    if (place.database.engine !== 'sqlite') return;
    await work(await place.open({ encryption: keys(aKey()) }));
    const to = `${place.database.path}.backup`;
    expect(await backUpDatabase({ from: place.database.path, to })).toMatchObject({ tasks: 1 });
    expectNone(await readFile(to, 'latin1'));
  });
});

async function openEncrypted(
  createPlace: () => Promise<Place>,
  overrides: Parameters<Place['open']>[0] = {},
): Promise<{ place: Place; opened: OpenedCore }> {
  const place = await createPlace();
  return { place, opened: await place.open({ encryption: keys(aKey()), ...overrides }) };
}

/** Turns one character in the middle of a stored value into another. */
async function damage(place: Place, task_id: string, column = 'prompt'): Promise<void> {
  const [row] = await query(place.database, `SELECT ${column} AS stored FROM tasks WHERE task_id = '${task_id}'`);
  const stored = String(row!['stored']);
  const middle = stored.length - 20;
  const other = stored[middle] === 'A' ? 'B' : 'A';
  await writeColumn(place, column, { [task_id]: stored.slice(0, middle) + other + stored.slice(middle + 1) });
}

async function writeColumn({ database }: Place, column: string, byTask: Record<string, string>): Promise<void> {
  for (const [task_id, stored] of Object.entries(byTask))
    await query(database, `UPDATE tasks SET ${column} = '${stored}' WHERE task_id = '${task_id}'`);
}

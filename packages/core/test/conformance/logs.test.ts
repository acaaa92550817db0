import { expect, test } from 'vitest';
import { aTask, failureOf, logOf, refused, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a log is read in the order in which it was written, page by page and over attempts', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const first = await take(core);
    await Promise.all([core.appendLog(logOf(first, 'a', 'b')), core.appendLog(logOf(first, 'c'))]);
    await core.failTask(failureOf(first, { retry_after_seconds: 0 }));
    clock.advance(1);
    await core.appendLog(logOf(await take(core), 'd'));
    const page = await core.listLogs({ task_id: first.task_id, limit: 3 });
    expect(page.entries.map(({ text, attempt }) => [text, attempt])).toEqual([
      ['a', 1],
      ['b', 1],
      ['c', 1],
    ]);
    const rest = await core.listLogs({ task_id: first.task_id, limit: 3, cursor: page.next_cursor! });
    expect(rest).toMatchObject({
      entries: [{ text: 'd', attempt: 2, at: clock.in(0), stream: 'stdout' }],
      truncated: false,
      next_cursor: null,
    });
  });

  test('a log ends at its bound, says so once, and the task goes on', async () => {
    const { core } = await engine.open({ task: { maxLogBytes: 132 } });
    await core.createTask(aTask());
    const task = await take(core);
    expect(await core.appendLog(logOf(task, 'x'.repeat(100)))).toEqual({ appended: 1, truncated: false });
    expect(await core.appendLog(logOf(task, 'y', 'z'))).toEqual({ appended: 0, truncated: true });
    expect(await core.appendLog(logOf(task, 'z'))).toEqual({ appended: 0, truncated: true });
    const { entries, truncated } = await core.listLogs({ task_id: task.task_id, limit: 10 });
    expect(truncated).toBe(true);
    expect(entries).toHaveLength(2);
    expect(entries[1]).toMatchObject({ stream: 'info' });
  });

  test('empty lines count towards the bound', async () => {
    const { core } = await engine.open({ task: { maxLogBytes: 132 } });
    await core.createTask(aTask());
    const lines = Array.from({ length: 10 }, () => '');
    expect(await core.appendLog(logOf(await take(core), ...lines))).toEqual({ appended: 4, truncated: true });
  });

  test('the bound counts bytes and not characters', async () => {
    const { core } = await engine.open({ task: { maxLogBytes: 100 } });
    await core.createTask(aTask());
    expect(await core.appendLog(logOf(await take(core), 'ü'.repeat(60)))).toEqual({ appended: 0, truncated: true });
  });

  test('appends of one commit share the bound', async () => {
    const { core } = await engine.open({ task: { maxLogBytes: 150 } });
    await core.createTask(aTask());
    const task = await take(core);
    const answers = await Promise.all([1, 2, 3].map(() => core.appendLog(logOf(task, 'x'.repeat(40)))));
    expect(answers.map(({ appended }) => appended)).toEqual([1, 1, 0]);
  });

  test('the log of one task is not that of another, and a stranger adds nothing', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    await core.createTask(aTask());
    const [first, second] = [await take(core), await take(core)];
    await core.appendLog(logOf(first, '1'));
    await core.appendLog(logOf(second, '2'));
    await refused('LEASE_LOST', core.appendLog(logOf({ ...first, lease_token: second.lease_token }, 'x')));
    expect((await core.listLogs({ task_id: first.task_id, limit: 10 })).entries.map(({ text }) => text)).toEqual(['1']);
  });
});

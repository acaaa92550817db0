import { expect, test } from 'vitest';
import { aBatchTask, aTask, cancelOf, completionOf, listOf, refused, take } from '../builders.ts';
import { forEachDurableEngine, forEachEngine } from '../engines.ts';

const HOUR = 3600;

forEachEngine((engine) => {
  test('one key creates one task, however often and however concurrently it is sent', async () => {
    const { core } = await engine.open();
    const send = () => core.createTask(aTask({ idempotency_key: 'k' }));
    const ids = await Promise.all(Array.from({ length: 20 }, send));
    ids.push(await send());
    expect(new Set(ids.map(({ task_id }) => task_id)).size).toBe(1);
    expect((await core.listTasks(listOf())).total).toBe(1);
  });

  test('the same key with another body is refused and changes nothing', async () => {
    const { core } = await engine.open();
    const task = await core.createTask(aTask({ idempotency_key: 'k' }));
    const refusal = await refused(
      'IDEMPOTENCY_MISMATCH',
      core.createTask(aTask({ idempotency_key: 'k', prompt: 'other' })),
    );
    expect(refusal.message).toContain(task.task_id);
    expect(await core.getTask(task)).toEqual(task);
    expect((await core.listTasks(listOf())).total).toBe(1);
  });

  test('two bodies under one key at the same moment: one wins and the other is refused', async () => {
    const { core } = await engine.open();
    const [first, second] = await Promise.allSettled([
      core.createTask(aTask({ idempotency_key: 'k', prompt: '1' })),
      core.createTask(aTask({ idempotency_key: 'k', prompt: '2' })),
    ]);
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'IDEMPOTENCY_MISMATCH' } });
    expect((await core.listTasks(listOf())).total).toBe(1);
  });

  test('the order of keys in metadata makes no other body', async () => {
    const { core } = await engine.open();
    const first = await core.createTask(aTask({ idempotency_key: 'k', metadata: { a: 1, b: { c: 2, d: 3 } } }));
    const second = await core.createTask(aTask({ idempotency_key: 'k', metadata: { b: { d: 3, c: 2 }, a: 1 } }));
    expect(second.task_id).toBe(first.task_id);
  });

  test('a repeated send answers the task as it is now', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ idempotency_key: 'k' }));
    await core.completeTask(completionOf(await take(core)));
    expect((await core.createTask(aTask({ idempotency_key: 'k' }))).status).toBe('completed');
  });

  test('a key stands for its hours after the task has finished, and then for a new task', async () => {
    const { core, clock } = await engine.open();
    const send = () => core.createTask(aTask({ idempotency_key: 'k', idempotency_window: 2 }));
    const first = await send();
    clock.advance(1000 * HOUR);
    expect((await send()).task_id).toBe(first.task_id);
    await core.completeTask(completionOf(await take(core)));
    clock.advance(2 * HOUR - 1);
    expect((await send()).task_id).toBe(first.task_id);
    clock.advance(1);
    const second = await send();
    expect(second.task_id).not.toBe(first.task_id);
    expect(second.status).toBe('waiting');
    expect((await send()).task_id).toBe(second.task_id);
  });

  test('until_finished frees a key with the end of its task, also for another body; forever never does', async () => {
    const { core, clock } = await engine.open();
    const short = { idempotency_key: 'short', idempotency_window: 'until_finished' } as const;
    const long = { idempotency_key: 'long', idempotency_window: 'forever' } as const;
    const first = await core.createTask(aTask(short));
    const kept = await core.createTask(aTask(long));
    await core.cancelTask(cancelOf(first));
    await core.cancelTask(cancelOf(kept));
    expect((await core.createTask(aTask({ ...short, prompt: 'other' }))).task_id).not.toBe(first.task_id);
    clock.advance(100_000 * HOUR);
    await core.tick();
    expect((await core.createTask(aTask(long))).task_id).toBe(kept.task_id);
  });

  test('a key stands for as long as its window says, even when the retention is shorter', async () => {
    const { core, clock } = await engine.open({ task: { retentionDays: 1 } });
    const send = () => core.createTask(aTask({ idempotency_key: 'k', idempotency_window: 72 }));
    const first = await send();
    await core.cancelTask(cancelOf(first));
    await core.createTask(aTask());
    clock.advance(48 * HOUR);
    await core.tick();
    expect((await send()).task_id).toBe(first.task_id);
    clock.advance(24 * HOUR);
    await core.tick();
    await refused('TASK_NOT_FOUND', core.getTask(first));
    expect((await send()).task_id).not.toBe(first.task_id);
  });

  test('a batch that is refused gives no key away', async () => {
    const { core, clock } = await engine.open();
    const key = { idempotency_key: 'k', idempotency_window: 1 } as const;
    const old = await core.createTask(aTask(key));
    await core.cancelTask(cancelOf(old));
    clock.advance(2 * HOUR);
    const batch = { tasks: [aBatchTask({ ...key, prompt: 'new' }), aBatchTask({ depends_on: ['nobody'] })] };
    await refused('VALIDATION_ERROR', core.createTasks(batch));
    expect((await core.getTask(old)).idempotency_key).toBe('k');
    expect((await core.listTasks(listOf())).total).toBe(1);
  });

  test('one key twice in a batch is one task', async () => {
    const { core } = await engine.open();
    const task = aBatchTask({ idempotency_key: 'k' });
    const { tasks } = await core.createTasks({ tasks: [task, { ...task, ref: 'again' }] });
    expect(tasks[0]!.task_id).toBe(tasks[1]!.task_id);
    expect((await core.listTasks(listOf())).total).toBe(1);
    await refused(
      'IDEMPOTENCY_MISMATCH',
      core.createTasks({ tasks: [task, aBatchTask({ idempotency_key: 'k', prompt: 'other' })] }),
    );
  });
});

forEachDurableEngine((createPlace) => {
  test('a key stands after the death of the server', async () => {
    const place = await createPlace();
    const { core } = await place.open();
    const task = await core.createTask(aTask({ idempotency_key: 'k' }));
    const revived = await (await place.copyAsIfKilled()).open();
    expect((await revived.core.createTask(aTask({ idempotency_key: 'k' }))).task_id).toBe(task.task_id);
    await refused('IDEMPOTENCY_MISMATCH', revived.core.createTask(aTask({ idempotency_key: 'k', prompt: 'other' })));
  });
});

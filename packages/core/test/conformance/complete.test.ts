import { expect, test } from 'vitest';
import {
  aTask,
  cancelOf,
  completionOf,
  eventTypes,
  failureOf,
  refused,
  releaseOf,
  statusOf,
  take,
} from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a completed task keeps its result as it was handed in', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    clock.advance(7);
    const result = {
      status: 'success' as const,
      output: { files: [1, null, 'ü'] },
      duration: 1.5,
      extra: { kept: true },
    };
    const receipt = await core.completeTask(completionOf(task, { result }));
    expect(receipt).toMatchObject({ task_id: task.task_id, status: 'completed', finished_at: clock.in(0) });
    expect(await core.getTask(task)).toMatchObject({
      status: 'completed',
      result,
      worker_id: 'worker',
      lease_expires_at: null,
    });
  });

  test('a repeated completion with the same token answers the same and happens once', async () => {
    const { core, clock } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    const [first, second] = await Promise.all([
      core.completeTask(completionOf(task)),
      core.completeTask(completionOf(task)),
    ]);
    clock.advance(100);
    expect(second).toEqual(first);
    expect(await core.completeTask(completionOf(task))).toEqual(first);
    expect(await eventTypes(core, task)).toEqual(['created', 'acquired', 'completed']);
    expect((await core.getStatistics()).tasks).toMatchObject({ completed: 1, working: 0 });
  });

  test('another token is refused, before and after', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await refused('LEASE_LOST', core.completeTask(completionOf({ ...task, lease_token: 'x' })));
    expect(await statusOf(core, task)).toBe('working');
    await core.completeTask(completionOf(task));
    await refused('LEASE_LOST', core.completeTask(completionOf({ ...task, lease_token: 'x' })));
  });

  test('without a token whoever is at work may be completed, and nothing else; the refusal says what is allowed', async () => {
    const { core } = await engine.open();
    const task = await core.createTask(aTask());
    const result = { status: 'success' as const };
    const refusal = await refused('STATUS_CONFLICT', core.completeTask({ task_id: task.task_id, result }));
    expect(refusal.message).toBe(`task ${task.task_id} is waiting; only working tasks can be completed`);
    await take(core);
    await core.completeTask({ task_id: task.task_id, result });
    await refused('STATUS_CONFLICT', core.completeTask({ task_id: task.task_id, result }));
  });

  test('a server that requires the token says so', async () => {
    const { core } = await engine.open({ task: { requireLeaseToken: true } });
    await core.createTask(aTask());
    const task = await take(core);
    const refusal = await refused(
      'VALIDATION_ERROR',
      core.completeTask({ task_id: task.task_id, result: { status: 'success' } }),
    );
    expect(refusal.details?.field).toBe('lease_token');
    await core.completeTask(completionOf(task));
  });

  test('an original prompt that differs is refused and the task goes on', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ prompt: 'right' }));
    const task = await take(core);
    await refused('PROMPT_MISMATCH', core.completeTask(completionOf(task, { original_prompt: 'wrong' })));
    await refused('PROMPT_MISMATCH', core.completeTask(completionOf(task, { original_prompt: '' })));
    expect(await statusOf(core, task)).toBe('working');
    await core.completeTask(completionOf(task, { original_prompt: 'right' }));
  });

  test('a result that says failure is a failed attempt, and repeating it does not fail twice', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    const failure = completionOf(task, { result: { status: 'failure', output: 'why' } });
    const receipt = await core.completeTask(failure);
    expect(receipt).toMatchObject({ status: 'scheduled', attempt: 1 });
    expect(await core.completeTask(failure)).toEqual(receipt);
    expect(await core.getTask(task)).toMatchObject({
      status: 'scheduled',
      error: { code: 'RESULT_FAILURE' },
      result: { output: 'why' },
    });
    expect(await eventTypes(core, task)).toEqual(['created', 'acquired', 'attempt_failed']);
    await refused('LEASE_LOST', core.completeTask(completionOf(task)));
  });

  test('after fail, release or force cancel there is nothing left to complete', async () => {
    const { core } = await engine.open();
    for (const end of ['fail', 'release', 'cancel'] as const) {
      await core.createTask(aTask({ work_directory: `/${end}` }));
      const task = await take(core, { work_path: `/${end}` });
      if (end === 'fail') await core.failTask(failureOf(task));
      if (end === 'release') await core.releaseTask(releaseOf(task));
      if (end === 'cancel') await core.cancelTask(cancelOf(task, { force: true }));
      const before = await core.getTask(task);
      await refused('LEASE_LOST', core.completeTask(completionOf(task)));
      expect(await core.getTask(task)).toEqual(before);
    }
  });

  test('a result beyond 1 MiB is refused and the task goes on', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    const refusal = await refused(
      'VALIDATION_ERROR',
      core.completeTask(completionOf(task, { result: { output: 'x'.repeat(1_100_000) } })),
    );
    expect(refusal.details?.field).toBe('result');
    expect(await statusOf(core, task)).toBe('working');
  });

  test('many completions are answered each for itself, the same task twice too', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 3; index++) await core.createTask(aTask());
    const [first, second] = [await take(core), await take(core)];
    const { results } = await core.completeTasks({
      completions: [
        completionOf(first),
        completionOf({ ...second, lease_token: 'x' }),
        completionOf(first),
        completionOf(second),
      ],
    });
    expect(results.map(({ value, error }) => value?.status ?? error?.code)).toEqual([
      'completed',
      'LEASE_LOST',
      'completed',
      'completed',
    ]);
    expect(results.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
  });

  test('who asks for refusals only hears of nothing else, and of which item each is', async () => {
    const { core } = await engine.open();
    for (let index = 0; index < 2; index++) await core.createTask(aTask());
    const [first, second] = [await take(core), await take(core)];
    const stale = completionOf({ ...first, lease_token: 'x' });
    const { results } = await core.completeTasks({
      completions: [completionOf(first), stale, completionOf(second), { ...stale, task_id: NO_TASK }],
      refusals_only: true,
    });
    expect(results).toMatchObject([
      { index: 1, task_id: first.task_id, value: null, error: { code: 'LEASE_LOST' } },
      { index: 3, task_id: NO_TASK, value: null, error: { code: 'TASK_NOT_FOUND' } },
    ]);
    expect([await statusOf(core, first), await statusOf(core, second)]).toEqual(['completed', 'completed']);
  });
});

const NO_TASK = '00000000-0000-7000-8000-000000000000';

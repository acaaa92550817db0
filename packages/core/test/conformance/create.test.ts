import { expect, test } from 'vitest';
import { aTask, eventTypes, listOf, refused, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a created task is found as it was sent, with the defaults of the service', async () => {
    const { core, clock } = await engine.open();
    const created = await core.createTask(
      aTask({ work_directory: '/repo//a/', prompt: 'x', tags: ['t'], metadata: { a: { b: 1 } }, priority: 'high' }),
    );
    expect(created).toMatchObject({
      work_directory: '/repo/a',
      prompt: 'x',
      tags: ['t'],
      metadata: { a: { b: 1 } },
      priority: 'high',
      status: 'waiting',
      attempt: 0,
      max_attempts: 4,
      timeout_seconds: 3600,
      exclusive: false,
      depends_on: [],
      idempotency_key: null,
      run_at: clock.in(0),
      created_at: clock.in(0),
      worker_id: null,
      lease_epoch: 0,
      lease_expires_at: null,
      finished_at: null,
    });
    expect(await core.getTask({ task_id: created.task_id })).toEqual(created);
    expect(await eventTypes(core, created)).toEqual(['created']);
  });

  test('a task for later is handed out when its time has come and not before', async () => {
    const { core, clock } = await engine.open();
    const task = await core.createTask(aTask({ run_at: clock.in(60) }));
    expect(task.status).toBe('scheduled');
    clock.advance(59.999);
    await core.tick();
    expect(
      (await core.acquireTasks({ worker_id: 'w', work_path: '/repo', subtree: false, limit: 1, wait_seconds: 0 }))
        .tasks,
    ).toEqual([]);
    clock.advance(0.001);
    await core.tick();
    expect((await take(core)).task_id).toBe(task.task_id);
    expect(await eventTypes(core, task)).toEqual(['created', 'ready', 'acquired']);
  });

  test('a time that has passed makes a task ready at once', async () => {
    const { core, clock } = await engine.open();
    expect((await core.createTask(aTask({ run_at: clock.in(-60) }))).status).toBe('waiting');
  });

  test('text survives as it was written', async () => {
    const { core } = await engine.open();
    const prompt = '日本語 👩‍💻 "quotes" \\ \n\t \u2028 end';
    const { task_id } = await core.createTask(
      aTask({ prompt, tags: ['ä"b'], metadata: { __proto__x: '\u0000', '': [null, 1.5] } }),
    );
    expect(await core.getTask({ task_id })).toMatchObject({
      prompt,
      tags: ['ä"b'],
      metadata: { __proto__x: '\u0000', '': [null, 1.5] },
    });
  });

  test('metadata beyond 1 MiB is refused by name, and nothing is created', async () => {
    const { core } = await engine.open();
    const refusal = await refused(
      'VALIDATION_ERROR',
      core.createTask(aTask({ metadata: { big: 'ü'.repeat(600_000) } })),
    );
    expect(refusal.details).toMatchObject({ field: 'metadata' });
    expect((await core.listTasks(listOf())).total).toBe(0);
  });

  test('an unknown task is not found', async () => {
    const { core } = await engine.open();
    const task_id = '01920000-0000-7000-8000-000000000000';
    const refusal = await refused('TASK_NOT_FOUND', core.getTask({ task_id }));
    expect(refusal.message).toContain(task_id);
    await refused('TASK_NOT_FOUND', core.cancelTask({ task_id, force: false }));
    await refused('TASK_NOT_FOUND', core.listEvents({ task_id, limit: 1 }));
    await refused('TASK_NOT_FOUND', core.listLogs({ task_id, limit: 1 }));
  });

  test('ids grow with creation', async () => {
    const { core } = await engine.open();
    const tasks = await Promise.all(Array.from({ length: 50 }, () => core.createTask(aTask())));
    const ids = tasks.map(({ task_id }) => task_id);
    expect(ids.toSorted()).toEqual(ids);
  });
});

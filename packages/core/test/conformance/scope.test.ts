import { StreamInput, type Task } from '@task-orchestrator/contract';
import { type Core, DomainError } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import {
  aBatchTask,
  aSetting,
  aTask,
  anAcquire,
  cancelOf,
  completionOf,
  failureOf,
  heartbeatOf,
  listOf,
  logOf,
  prompts,
  refused,
  releaseOf,
  statusOf,
  take,
} from '../builders.ts';
import { forEachEngine } from '../engines.ts';

const SCOPE = ['/a/b', '/c'];
const NOBODY = '01920000-0000-7000-8000-000000000000';
const INSIDE = ['/a/b', '/a/b/x', '/c', '/c/y/z'];
const OUTSIDE = ['/a', '/a/bc', '/a/c', '/ca', '/d', '/'];

/** One task in every directory, its prompt is the directory. */
async function fill(core: Core): Promise<Task[]> {
  return Promise.all(
    [...INSIDE, ...OUTSIDE].map((directory) =>
      core.createTask(aTask({ work_directory: directory, prompt: directory })),
    ),
  );
}

const sorted = (tasks: readonly { prompt: string }[]): string[] => prompts(tasks).toSorted();

/** Every call that names one task. */
const ON_TASK: Readonly<Record<string, (core: Core, task_id: string) => Promise<unknown>>> = {
  getTask: (core, task_id) => core.getTask({ task_id }, SCOPE),
  heartbeat: (core, task_id) => core.heartbeat(heartbeatOf({ task_id, lease_token: 'x' }), SCOPE),
  completeTask: (core, task_id) => core.completeTask(completionOf({ task_id, lease_token: 'x' }), SCOPE),
  failTask: (core, task_id) => core.failTask(failureOf({ task_id, lease_token: 'x' }), SCOPE),
  releaseTask: (core, task_id) => core.releaseTask(releaseOf({ task_id, lease_token: 'x' }), SCOPE),
  cancelTask: (core, task_id) => core.cancelTask(cancelOf({ task_id }), SCOPE),
  retryTask: (core, task_id) => core.retryTask({ task_id }, SCOPE),
  appendLog: (core, task_id) => core.appendLog(logOf({ task_id, lease_token: 'x' }, 'text'), SCOPE),
  listLogs: (core, task_id) => core.listLogs({ task_id, limit: 10 }, SCOPE),
  listEvents: (core, task_id) => core.listEvents({ task_id, limit: 10 }, SCOPE),
  waitForTasks: (core, task_id) =>
    core.waitForTasks({ task_ids: [task_id], until: 'all', wait_seconds: 0 }, undefined, SCOPE),
  heartbeatMany: async (core, task_id) => {
    const { results } = await core.heartbeatMany({ heartbeats: [heartbeatOf({ task_id, lease_token: 'x' })] }, SCOPE);
    if (results[0]?.error)
      throw new DomainError(results[0].error.code, results[0].error.message, results[0].error.details);
  },
  completeTasks: async (core, task_id) => {
    const { results } = await core.completeTasks({ completions: [completionOf({ task_id, lease_token: 'x' })] }, SCOPE);
    if (results[0]?.error)
      throw new DomainError(results[0].error.code, results[0].error.message, results[0].error.details);
  },
};

forEachEngine((engine) => {
  test.for(Object.keys(ON_TASK))('%s answers for a task outside as for one that does not exist', async (name) => {
    const { core } = await engine.open();
    const tasks = await fill(core);
    const call = ON_TASK[name]!;
    const unknown = await refused('TASK_NOT_FOUND', call(core, NOBODY));
    for (const { task_id, work_directory } of tasks) {
      const outcome = await call(core, task_id).catch((error: DomainError) => error.toBody());
      const hidden = JSON.parse(JSON.stringify(unknown.toBody()).replaceAll(NOBODY, task_id));
      if (OUTSIDE.includes(work_directory)) expect(outcome, work_directory).toEqual(hidden);
      else expect(outcome, work_directory).not.toEqual(hidden);
    }
    for (const { task_id, work_directory } of tasks) {
      if (OUTSIDE.includes(work_directory))
        expect(await core.getTask({ task_id })).toMatchObject({ status: 'waiting' });
    }
  });

  test('a task is created within, and refused outside by the name of the field', async () => {
    const { core } = await engine.open();
    for (const work_directory of INSIDE) await core.createTask(aTask({ work_directory }), SCOPE);
    for (const work_directory of OUTSIDE) {
      const error = await refused('FORBIDDEN', core.createTask(aTask({ work_directory }), SCOPE));
      expect(error.details).toEqual({ field: 'work_directory', message: 'must be /a/b or /c, or below' });
    }
    const drafts = ['/c', '/d'].map((work_directory) => aBatchTask({ work_directory }));
    const error = await refused('FORBIDDEN', core.createTasks({ tasks: drafts }, SCOPE));
    expect(error.details).toMatchObject({ field: 'tasks.1.work_directory' });
    expect((await core.listTasks(listOf())).total).toBe(INSIDE.length);
  });

  test('a dependency outside is one that does not exist', async () => {
    const { core } = await engine.open();
    const [inside, outside] = await Promise.all(
      ['/c', '/d'].map((path) => core.createTask(aTask({ work_directory: path }))),
    );
    const depend = (...ids: string[]) => core.createTask(aTask({ work_directory: '/c', depends_on: ids }), SCOPE);
    expect((await depend(inside!.task_id)).status).toBe('blocked');
    const unknown = await refused('VALIDATION_ERROR', depend(inside!.task_id, NOBODY));
    const hidden = await refused('VALIDATION_ERROR', depend(inside!.task_id, outside!.task_id.toUpperCase()));
    expect(JSON.stringify(hidden.toBody()).toLowerCase().replaceAll(outside!.task_id, NOBODY)).toBe(
      JSON.stringify(unknown.toBody()).toLowerCase(),
    );
    const { tasks } = await core.createTasks(
      {
        tasks: [
          aBatchTask({ work_directory: '/c', ref: 'a' }),
          aBatchTask({ work_directory: '/c', depends_on: ['a', inside!.task_id] }),
        ],
      },
      SCOPE,
    );
    expect(tasks.map(({ status }) => status)).toEqual(['waiting', 'blocked']);
  });

  test('an idempotency key of a task outside is taken, and says nothing of the task', async () => {
    const { core } = await engine.open();
    const outside = await core.createTask(aTask({ work_directory: '/d', idempotency_key: 'k' }));
    const again = aTask({ work_directory: '/c', idempotency_key: 'k' });
    const error = await refused('IDEMPOTENCY_MISMATCH', core.createTask(again, SCOPE));
    expect(JSON.stringify(error.toBody())).not.toContain(outside.task_id);
    const inside = await core.createTask(aTask({ work_directory: '/c', idempotency_key: 'mine' }), SCOPE);
    const replayed = await core.createTask(aTask({ work_directory: '/c', idempotency_key: 'mine' }), SCOPE);
    expect(replayed.task_id).toBe(inside.task_id);
  });

  test('lists and their totals hold what is within', async () => {
    const { core } = await engine.open();
    await fill(core);
    const list = async (filter: Parameters<typeof listOf>[0]) => {
      const { tasks, total } = await core.listTasks(listOf(filter), SCOPE);
      expect(total).toBe(tasks.length);
      return sorted(tasks);
    };
    expect(await list({})).toEqual(INSIDE.toSorted());
    expect(await list({ status: 'waiting', priority: 'medium' })).toEqual(INSIDE.toSorted());
    expect(await list({ work_directory: '/', subtree: true })).toEqual(INSIDE.toSorted());
    expect(await list({ work_directory: '/a', subtree: true })).toEqual(['/a/b', '/a/b/x']);
    expect(await list({ work_directory: '/a/b/x' })).toEqual(['/a/b/x']);
    expect(await list({ work_directory: '/c/y', subtree: true })).toEqual(['/c/y/z']);
    for (const work_directory of OUTSIDE) expect(await list({ work_directory }), work_directory).toEqual([]);
    expect(await list({ work_directory: '/d', subtree: true })).toEqual([]);
    const paged = await core.listTasks(listOf({ limit: 3 }), SCOPE);
    const rest = await core.listTasks(listOf({ limit: 3, cursor: paged.next_cursor! }), SCOPE);
    expect(sorted([...paged.tasks, ...rest.tasks])).toEqual(INSIDE.toSorted());
  });

  test('a worker takes from where it may, and may not ask elsewhere', async () => {
    const { core } = await engine.open();
    await fill(core);
    const acquire = (wanted: Parameters<typeof anAcquire>[0]) =>
      core.acquireTasks(anAcquire({ limit: 100, ...wanted }), undefined, SCOPE);
    for (const work_path of OUTSIDE) {
      for (const subtree of [false, true]) {
        const error = await refused('FORBIDDEN', acquire({ work_path, subtree }));
        expect(error.details).toMatchObject({ field: 'work_path' });
      }
      const next = { work_path, worker_id: 'w', subtree: false, wait_seconds: 0 };
      await refused('FORBIDDEN', core.acquireNextTask(next, undefined, SCOPE));
    }
    const several = await refused('FORBIDDEN', acquire({ work_paths: ['/c', '/d'] }));
    expect(several.details).toMatchObject({ field: 'work_paths.1' });
    expect(sorted((await acquire({ work_path: '/c/y', subtree: true })).tasks)).toEqual(['/c/y/z']);
    expect(sorted((await acquire({ work_path: undefined })).tasks)).toEqual(['/a/b', '/a/b/x', '/c']);
  });

  test('an acquire_id answers nothing that was taken outside', async () => {
    const { core } = await engine.open();
    await fill(core);
    const wanted = { acquire_id: 'same', worker_id: 'same' };
    const outside = await take(core, { ...wanted, work_path: '/d' });
    const asked = { ...wanted, work_path: '/c' };
    const [inside, again] = await Promise.all([
      core.acquireTasks(anAcquire(asked), undefined, SCOPE),
      core.acquireTasks(anAcquire(asked)),
    ]);
    expect(prompts(inside.tasks)).toEqual(['/c']);
    expect(again.tasks.map(({ task_id }) => task_id)).toEqual([outside.task_id]);
    const replayed = await core.acquireTasks(anAcquire(asked), undefined, SCOPE);
    expect(prompts(replayed.tasks)).toEqual(['/c']);
  });

  test('two callers with the same acquire_id in one commit get what each may have', async () => {
    const { core } = await engine.open();
    await fill(core);
    const wanted = anAcquire({ acquire_id: 'same', worker_id: 'same', work_path: undefined, limit: 1 });
    const [left, right] = await Promise.all([
      core.acquireTasks(wanted, undefined, ['/d']),
      core.acquireTasks(wanted, undefined, ['/c/y']),
    ]);
    expect([prompts(left.tasks), prompts(right.tasks)]).toEqual([['/d'], ['/c/y/z']]);
  });

  test('a long poll within wakes for what is within', async () => {
    const { core } = await engine.open({ background: true });
    const poll = core.acquireTasks(anAcquire({ work_path: undefined, wait_seconds: 20 }), undefined, SCOPE);
    await core.createTask(aTask({ work_directory: '/d' }));
    await core.createTask(aTask({ work_directory: '/a/b/x', prompt: 'within' }));
    expect(prompts((await poll).tasks)).toEqual(['within']);
  });

  test('to cancel and to retry by a filter changes what is within', async () => {
    const { core } = await engine.open();
    const tasks = await fill(core);
    const dry = { filter: { status: 'waiting' }, dry_run: true, force: false } as const;
    expect(await core.cancelTasks(dry, SCOPE)).toEqual({ matched: INSIDE.length, changed: 0 });
    expect(await core.cancelTasks({ ...dry, dry_run: false }, SCOPE)).toEqual({
      matched: INSIDE.length,
      changed: INSIDE.length,
    });
    for (const task of tasks) {
      const isInside = INSIDE.includes(task.work_directory);
      expect(await statusOf(core, task), task.work_directory).toBe(isInside ? 'cancelled' : 'waiting');
    }
    await core.cancelTasks({ filter: { work_directory: '/', subtree: true }, dry_run: false, force: false });
    expect(await core.retryTasks({ filter: { work_directory: '/', subtree: true }, dry_run: false }, ['/c'])).toEqual({
      matched: 2,
      changed: 2,
    });
  });

  test('some tasks of a call for many may be within, each for itself', async () => {
    const { core } = await engine.open();
    await fill(core);
    const inside = await take(core, { work_path: '/c' });
    const outside = await take(core, { work_path: '/d' });
    const { results } = await core.completeTasks({ completions: [completionOf(outside), completionOf(inside)] }, SCOPE);
    expect(results.map(({ value, error }) => value?.status ?? error?.code)).toEqual(['TASK_NOT_FOUND', 'completed']);
    expect(await statusOf(core, outside)).toBe('working');
    const ids = [inside.task_id, outside.task_id];
    await refused(
      'TASK_NOT_FOUND',
      core.waitForTasks({ task_ids: ids, until: 'any', wait_seconds: 0 }, undefined, SCOPE),
    );
  });

  test('a stream carries what happens within, from the past and as it comes', async () => {
    const { core } = await engine.open({ background: true });
    await fill(core);
    const ending = new AbortController();
    const read = async (filter: Parameters<typeof StreamInput.parse>[0], count: number) => {
      const seen: string[] = [];
      const stream = core.streamEvents(
        StreamInput.parse({ last_event_id: '0', ...(filter as object) }),
        ending.signal,
        SCOPE,
      );
      for await (const { work_directory } of stream) if (seen.push(work_directory) === count) break;
      return seen.toSorted();
    };
    expect(await read({}, INSIDE.length)).toEqual(INSIDE.toSorted());
    expect(await read({ work_directory: '/a', subtree: true }, 2)).toEqual(['/a/b', '/a/b/x']);
    const live = read({ work_directory: '/c', subtree: true }, 3);
    await core.createTask(aTask({ work_directory: '/d' }));
    await core.createTask(aTask({ work_directory: '/c/new' }));
    expect(await live).toEqual(['/c', '/c/new', '/c/y/z']);
    ending.abort();
  });

  test('statistics, workers and paths are about what is within', async () => {
    const { core, clock } = await engine.open();
    await fill(core);
    await core.createTask(aTask({ work_directory: '/c', run_at: clock.in(60) }));
    clock.advance(10);
    await take(core, { work_path: '/c', worker_id: 'inside' });
    await take(core, { work_path: '/d', worker_id: 'outside' });
    await core.acquireTasks(anAcquire({ work_path: '/d', worker_id: 'idle' }));
    for (const path of ['/a', '/a/b/x', '/d']) await core.setPath(aSetting(path, { weight: 2 }));

    const statistics = await core.getStatistics(SCOPE);
    expect(statistics).toMatchObject({ total_tasks: 5, oldest_waiting_seconds: 10, workers: 1 });
    expect(statistics.tasks).toMatchObject({ waiting: 3, working: 1, scheduled: 1, completed: 0 });
    expect((await core.getStatistics(['/e'])).oldest_waiting_seconds).toBeNull();

    const { workers } = await core.listWorkers({ limit: 10 }, SCOPE);
    expect(workers.map(({ worker_id, tasks_held }) => [worker_id, tasks_held])).toEqual([['inside', 1]]);

    const page = await core.listPaths({ limit: 2 }, SCOPE);
    expect(page.paths.map(({ path, weight }) => [path, weight])).toEqual([
      ['/a/b', 1],
      ['/a/b/x', 2],
    ]);
    const rest = await core.listPaths({ limit: 2, cursor: page.next_cursor! }, SCOPE);
    expect(rest.paths.map(({ path }) => path)).toEqual(['/c', '/c/y/z']);
    expect(rest.next_cursor).toBeNull();
  });
});

import { expect, test } from 'vitest';
import { aBatchTask, aTask, cancelOf, completionOf, listOf, refused, statusOf, take } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a batch answers in its order and its tasks may refer forward and back', async () => {
    const { core } = await engine.open();
    const { tasks } = await core.createTasks({
      tasks: [
        aBatchTask({ ref: 'last', depends_on: ['first', 'middle'] }),
        aBatchTask({ ref: 'first' }),
        aBatchTask({ ref: 'middle', depends_on: ['first'] }),
      ],
    });
    expect(tasks.map(({ ref, status }) => [ref, status])).toEqual([
      ['last', 'blocked'],
      ['first', 'waiting'],
      ['middle', 'blocked'],
    ]);
    const [last, first, middle] = tasks;
    expect((await core.getTask(last!)).depends_on).toEqual([first!.task_id, middle!.task_id]);
    for (const expected of [first, middle, last]) {
      const taken = await take(core);
      expect(taken.task_id).toBe(expected!.task_id);
      await core.completeTask(completionOf(taken));
    }
  });

  test.for([
    ['an unknown reference', [{ depends_on: ['nobody'] }], 'tasks.1.depends_on.0'],
    ['an unknown task', [{ depends_on: ['01920000-0000-7000-8000-000000000000'] }], 'tasks.1.depends_on.0'],
    ['the same name twice', [{ ref: 'a' }, { ref: 'a' }], 'tasks.2.ref'],
    ['a task that waits for itself', [{ ref: 'a', depends_on: ['a'] }], 'tasks.1.depends_on'],
    [
      'a ring',
      [
        { ref: 'a', depends_on: ['b'] },
        { ref: 'b', depends_on: ['c'] },
        { ref: 'c', depends_on: ['a'] },
      ],
      'tasks.1.depends_on',
    ],
    ['metadata that is too large', [{ metadata: { big: 'x'.repeat(1_100_000) } }], 'tasks.1.metadata'],
  ] as const)('a batch with %s is refused whole, by the name of the field', async ([, bad, field]) => {
    const { core } = await engine.open();
    const tasks = [
      aBatchTask(),
      ...bad.map((task) => aBatchTask({ ...task, depends_on: [...('depends_on' in task ? task.depends_on : [])] })),
    ];
    const refusal = await refused('VALIDATION_ERROR', core.createTasks({ tasks }));
    expect(refusal.details?.field).toBe(field);
    expect((await core.listTasks(listOf())).total).toBe(0);
    expect((await core.getStatistics()).total_tasks).toBe(0);
  });

  test('a thousand tasks in a chain are created, and each frees the next', async () => {
    const { core } = await engine.open();
    const { tasks } = await core.createTasks({
      tasks: Array.from({ length: 1000 }, (_, index) =>
        aBatchTask({ ref: `t${index}`, depends_on: index === 0 ? [] : [`t${index - 1}`] }),
      ),
    });
    expect(tasks.filter(({ status }) => status === 'waiting')).toHaveLength(1);
    await core.completeTask(completionOf(await take(core)));
    expect(await statusOf(core, tasks[1]!)).toBe('waiting');
    await core.cancelTask(cancelOf(tasks[1]!));
    expect((await core.listTasks(listOf({ status: 'cancelled' }))).total).toBe(999);
  });

  test('a batch that hangs on a task that has failed answers what became of each task', async () => {
    const { core } = await engine.open();
    const gone = await core.createTask(aTask());
    await core.cancelTask(cancelOf(gone));
    const { tasks } = await core.createTasks({
      tasks: [
        aBatchTask({ ref: 'a', depends_on: [gone.task_id] }),
        aBatchTask({ ref: 'b', depends_on: ['a'] }),
        aBatchTask({ ref: 'c', depends_on: ['b'], on_dependency_failure: 'run' }),
      ],
    });
    const stored = await Promise.all(tasks.map((task) => statusOf(core, task)));
    expect(stored).toEqual(['cancelled', 'cancelled', 'waiting']);
    expect(tasks.map(({ status }) => status)).toEqual(stored);
  });

  test('ids in depends_on may be written in capitals', async () => {
    const { core } = await engine.open();
    const first = await core.createTask(aTask());
    const { tasks } = await core.createTasks({ tasks: [aBatchTask({ depends_on: [first.task_id.toUpperCase()] })] });
    expect((await core.getTask(tasks[0]!)).depends_on).toEqual([first.task_id]);
  });
});

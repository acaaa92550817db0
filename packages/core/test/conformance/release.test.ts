import { expect, test } from 'vitest';
import { aTask, eventTypes, prompts, refused, releaseOf, take, takeAll } from '../builders.ts';
import { forEachEngine } from '../engines.ts';

forEachEngine((engine) => {
  test('a released task keeps its place and its attempts, however often', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask({ prompt: 'first', max_attempts: 1 }));
    await core.createTask(aTask({ prompt: 'second' }));
    for (let round = 1; round <= 3; round++) {
      const task = await take(core);
      expect(task).toMatchObject({ prompt: 'first', attempt: 1, lease_epoch: round });
      expect(await core.releaseTask(releaseOf(task))).toMatchObject({ status: 'waiting', attempt: 0 });
    }
    expect(prompts(await takeAll(core))).toEqual(['first', 'second']);
  });

  test('a repeated release answers the same, and does not take the task from the next holder', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const first = await take(core);
    const receipt = await core.releaseTask(releaseOf(first));
    expect(await core.releaseTask(releaseOf(first))).toEqual(receipt);
    const second = await take(core);
    await refused('LEASE_LOST', core.releaseTask(releaseOf(first)));
    expect(await core.getTask(second)).toMatchObject({ status: 'working', attempt: 1 });
    expect(await eventTypes(core, first)).toEqual(['created', 'acquired', 'released', 'acquired']);
  });

  test('the reason is in the history', async () => {
    const { core } = await engine.open();
    await core.createTask(aTask());
    const task = await take(core);
    await core.releaseTask({ ...releaseOf(task), reason: 'draining' });
    const { events } = await core.listEvents({ task_id: task.task_id, limit: 10 });
    expect(events.at(-1)).toMatchObject({ type: 'released', attempt: 0, data: { reason: 'draining' } });
  });
});

import { randomUUID } from 'node:crypto';
import { DomainError, type Core } from '@task-orchestrator/core';
import { expect } from 'vitest';
import { aTask, anAcquire, completionOf, listOf } from '../builders.ts';

/** What producers and workers that never give up have been told. */
export interface Load {
  readonly created: ReadonlySet<string>;
  readonly completed: ReadonlySet<string>;
  /** Refusals of any kind that were met on the way. */
  readonly refusals: Map<string, number>;
  /** Producers stop, workers finish what is there, and what was promised is compared with what is. */
  finish(): Promise<void>;
}

/** Producers and workers on every server that send the same again, with the same keys and tokens, until it is answered. */
export function startLoad(cores: readonly Core[]): Load {
  const created = new Set<string>();
  const completed = new Set<string>();
  const held = new Map<string, number>();
  const refusals = new Map<string, number>();
  let isProducing = true;
  let turn = 0;

  const insist = async <T>(ask: (core: Core) => Promise<T>): Promise<T | null> => {
    for (;;) {
      try {
        return await ask(cores[turn++ % cores.length]!);
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
        refusals.set(error.code, (refusals.get(error.code) ?? 0) + 1);
        if (error.code !== 'UNAVAILABLE') return null;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  };

  const produce = async (): Promise<void> => {
    while (isProducing) {
      const idempotency_key = randomUUID();
      const task = await insist((core) => core.createTask(aTask({ idempotency_key })));
      created.add(task!.task_id);
    }
  };

  const work = async (worker_id: string): Promise<void> => {
    while (isProducing || completed.size < created.size) {
      const acquire_id = randomUUID();
      const acquired = await insist((core) =>
        core.acquireTasks(anAcquire({ worker_id, acquire_id, limit: 2, wait_seconds: 0.05 })),
      );
      for (const task of acquired!.tasks) {
        // A task that comes again must have lost its lease before.
        expect(task.lease_epoch).toBeGreaterThan(held.get(task.task_id) ?? 0);
        held.set(task.task_id, task.lease_epoch);
      }
      for (const task of acquired!.tasks) {
        const receipt = await insist((core) => core.completeTask(completionOf(task)));
        if (receipt === null) continue;
        expect(completed.has(task.task_id), 'completed twice').toBe(false);
        completed.add(task.task_id);
      }
    }
  };

  const producing = Promise.all(Array.from({ length: 4 }, produce));
  const working = Promise.all(Array.from({ length: 6 }, (_, index) => work(`w${index}`)));
  // Whoever fails is heard in `finish`.
  for (const running of [producing, working]) running.catch(() => undefined);

  return {
    created,
    completed,
    refusals,
    async finish() {
      isProducing = false;
      await producing;
      await working;
      const core = cores[0]!;
      expect(completed).toEqual(created);
      expect((await core.listTasks(listOf({ limit: 1 }))).total).toBe(created.size);
      expect((await core.listTasks(listOf({ limit: 1, status: 'completed' }))).total).toBe(created.size);
      for (const code of refusals.keys()) expect(['UNAVAILABLE', 'LEASE_LOST']).toContain(code);
    },
  };
}

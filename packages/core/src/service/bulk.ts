import type { ManyOutput, TaskFilter, TaskStatus } from '@task-orchestrator/contract';
import type { z } from 'zod';
import { DomainError } from '../domain-error.ts';
import type { ScopedFilter } from '../repository/filter.ts';
import { countTasks, pageOfIds } from '../repository/read-tasks.ts';
import type { CoreContext } from './context.ts';

const PAGE = 200;

/**
 * Does one thing to every task of a filter that is in one of `statuses`, page by page, so that no commit grows
 * with the filter and others get their turn in between. A task that changes meanwhile is left alone.
 */
export async function changeEach(
  context: CoreContext,
  job: {
    filter: ScopedFilter;
    statuses: readonly TaskStatus[];
    isDryRun: boolean;
    change: (task_id: string) => Promise<unknown>;
  },
): Promise<z.infer<typeof ManyOutput>> {
  const filter = { ...job.filter, status: narrow(job.filter.status, job.statuses) };
  if (filter.status.length === 0) return { matched: 0, changed: 0 };
  const matched = await countTasks(context.engine, filter);
  if (job.isDryRun) return { matched, changed: 0 };
  let changed = 0;
  for (let afterSeq = 0; ;) {
    const page = await pageOfIds(context.engine, { filter, afterSeq, limit: PAGE });
    const outcomes = await Promise.allSettled(page.map(({ task_id }) => job.change(task_id)));
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') changed++;
      else if (!isPassedBy(outcome.reason)) throw outcome.reason;
    }
    if (page.length < PAGE) return { matched, changed };
    afterSeq = page.at(-1)!.seq;
  }
}

function narrow(wanted: TaskFilter['status'], possible: readonly TaskStatus[]): TaskStatus[] {
  return wanted === undefined ? [...possible] : [wanted].flat().filter((status) => possible.includes(status));
}

/** The task moved on between the look and the change. */
function isPassedBy(error: unknown): boolean {
  return error instanceof DomainError && (error.code === 'STATUS_CONFLICT' || error.code === 'TASK_NOT_FOUND');
}

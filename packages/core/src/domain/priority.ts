import type { Priority } from '@task-orchestrator/contract';

const NAMES = ['low', 'medium', 'high'] as const satisfies readonly Priority[];

/** Higher rank first. The rank is what the column holds, so that an index can order by it. */
export const PRIORITY_RANK: Record<Priority, number> = { low: 0, medium: 1, high: 2 };
export const HIGHEST_RANK = NAMES.length - 1;
/** Lowest first. */
export const RANKS: readonly number[] = [...NAMES.keys()];

export function priorityOfRank(rank: number): Priority {
  const name = NAMES[rank];
  if (!name) throw new Error(`no priority has rank ${rank}`);
  return name;
}

import type { Turn } from '../dispatch/path-turns.ts';
import { isDueSinceCreation } from '../domain/band.ts';
import type { TaskRow } from './task-row.ts';

/** A turn, from after the tasks of it that were taken last. */
export interface Look extends Pick<Turn, 'path' | 'rank' | 'quota' | 'band' | 'hasLater'> {
  readonly after?: After | undefined;
}

type Position = Pick<TaskRow, 'run_at' | 'seq'>;

/** The tasks that were taken last: of all, of those that are due since their creation, and of the others. */
export interface After {
  readonly last: Position;
  readonly created: number;
  readonly later: Position;
}

const FIRST: Position = { run_at: Number.MIN_SAFE_INTEGER, seq: 0 };
export const BEFORE_ALL: After = { last: FIRST, created: 0, later: FIRST };

export function passBy(taken: readonly TaskRow[], after: After = BEFORE_ALL): After {
  return {
    last: taken.at(-1) ?? after.last,
    created: taken.findLast(isDueSinceCreation)?.seq ?? after.created,
    later: taken.findLast((task) => !isDueSinceCreation(task)) ?? after.later,
  };
}

/** The first waiting tasks of a turn, in their order, and where those and the ones behind them stand. */
export interface Heads {
  readonly rows: readonly TaskRow[];
  /** The first band in which one was found. */
  readonly band: number;
  /** Whether there may be some without a band. */
  readonly hasLater: boolean;
}

import { sql } from 'kysely';
import type { Commit } from '../commit/commit.ts';
import { defineStatement } from '../db/engine.ts';
import { ancestorsOf, overlaps, rangeBelow } from '../domain/path-tree.ts';
import type { TaskRow } from './task-row.ts';

type Obstacle = 'paused' | 'path_busy';
type Candidate = Pick<TaskRow, 'seq' | 'work_directory' | 'priority' | 'run_at' | 'exclusive'>;

/** Directories of the exclusive tasks at work; uses the index tasks_working_exclusive. */
export const workingExclusive = defineStatement<[], { work_directory: string }>((kysely) =>
  kysely
    .selectFrom('tasks')
    .select('work_directory')
    .where('status', '=', sql.lit('working'))
    .where('exclusive', '=', sql.lit(1)),
);

/** Whether exclusive tasks stand in line at all; uses the index tasks_waiting_exclusive. */
export const anyWaitingExclusive = defineStatement<[], { seq: number }>((kysely) =>
  kysely
    .selectFrom('tasks')
    .select('seq')
    .where('status', '=', sql.lit('waiting'))
    .where('exclusive', '=', sql.lit(1))
    .limit(1),
);

/** How many tasks work in some directories; uses the index tasks_working. */
export const countWorkingIn = defineStatement<[directories: string], { working: number }>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(({ fn }) => fn.countAll<number>().as('working'))
    .where('status', '=', sql.lit('working'))
    .where(({ ref }) => dialect.inStrings(ref('work_directory'), arg(0))),
);

/** How many tasks work strictly below a directory; uses the index tasks_working. */
export const countWorkingBelow = defineStatement<[after: string, before: string], { working: number }>((kysely, arg) =>
  kysely
    .selectFrom('tasks')
    .select(({ fn }) => fn.countAll<number>().as('working'))
    .where('status', '=', sql.lit('working'))
    .where('work_directory', '>', arg(0))
    .where('work_directory', '<', arg(1)),
);

/** Exclusive tasks in line in some directories; uses the index tasks_waiting_exclusive. */
export const waitingExclusiveIn = defineStatement<[directories: string], Candidate>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(['seq', 'work_directory', 'priority', 'run_at', 'exclusive'])
    .where('status', '=', sql.lit('waiting'))
    .where('exclusive', '=', sql.lit(1))
    .where(({ ref }) => dialect.inStrings(ref('work_directory'), arg(0))),
);

/** Exclusive tasks in line strictly below a directory; uses the index tasks_waiting_exclusive. */
export const waitingExclusiveBelow = defineStatement<[after: string, before: string], Candidate>((kysely, arg) =>
  kysely
    .selectFrom('tasks')
    .select(['seq', 'work_directory', 'priority', 'run_at', 'exclusive'])
    .where('status', '=', sql.lit('waiting'))
    .where('exclusive', '=', sql.lit(1))
    .where('work_directory', '>', arg(0))
    .where('work_directory', '<', arg(1)),
);

/**
 * What keeps a task off its directory: a paused path, a path limit, an exclusive task at work, tasks at work where
 * it wants to be alone, or an exclusive task that stood in line before it. Looks inside the transaction that hands
 * out, so no interleaving breaks it.
 */
export class PathGuard {
  readonly #commit: Commit;
  readonly #exclusive: string[];
  /** Nobody else hands out until the commit ends, so what was counted stays true. */
  readonly #isAlone: boolean;
  readonly #hasExclusiveInLine: boolean;
  /** Chosen, but not yet at work as far as the database knows. */
  #admitted: Candidate[] = [];

  private constructor(commit: Commit, known: { exclusive: string[]; isAlone: boolean; hasExclusiveInLine: boolean }) {
    this.#commit = commit;
    this.#exclusive = known.exclusive;
    this.#isAlone = known.isAlone;
    this.#hasExclusiveInLine = known.hasExclusiveInLine;
  }

  /**
   * Hand-outs of several servers go side by side, unless there is a limit or an exclusive task to look after: those
   * are decided alone. What is read after the lock includes every hand-out before it.
   */
  static async load(commit: Commit): Promise<PathGuard> {
    const { tx, policy, settings } = commit;
    const hasExclusiveInLine = (await tx.all(anyWaitingExclusive, [])).length > 0;
    const isAlone = hasExclusiveInLine || settings.hasLimits() || policy.maxConcurrentTasks > 0;
    await tx.lockHandOut(isAlone ? 'alone' : 'shared');
    const exclusive = (await tx.all(workingExclusive, [])).map(({ work_directory }) => work_directory);
    return new PathGuard(commit, { exclusive, isAlone, hasExclusiveInLine });
  }

  admit(task: Candidate): void {
    this.#admitted.push(task);
    if (task.exclusive) this.#exclusive.push(task.work_directory);
  }

  /** What was admitted is at work in the database now. */
  markWritten(): void {
    this.#admitted = [];
  }

  async findObstacle(task: Candidate): Promise<Obstacle | null> {
    const { settings } = this.#commit;
    const directory = task.work_directory;
    if (settings.isPaused(directory)) return 'paused';
    if (this.#exclusive.some((held) => overlaps(held, directory))) return 'path_busy';
    for (const { path, max } of settings.limitsOver(directory)) {
      if ((await this.#countWorkingAround(path)) >= max) return 'path_busy';
    }
    // An exclusive task that has come in since must wait for a hand-out that is alone.
    if (task.exclusive && !this.#isAlone) return 'path_busy';
    if (task.exclusive && (await this.#countWorkingAround(directory)) > 0) return 'path_busy';
    if (this.#hasExclusiveInLine && (await this.#isBehindExclusive(task))) return 'path_busy';
    return null;
  }

  /** Tasks at work on the path, above it and below it. */
  async #countWorkingAround(path: string): Promise<number> {
    const { tx } = this.#commit;
    const { after, before } = rangeBelow(path);
    const [onPath] = await tx.all(countWorkingIn, [JSON.stringify([path, ...ancestorsOf(path)])]);
    const [below] = await tx.all(countWorkingBelow, [after, before]);
    const admitted = this.#admitted.filter(({ work_directory }) => overlaps(work_directory, path)).length;
    return Number(onPath?.working ?? 0) + Number(below?.working ?? 0) + admitted;
  }

  /** Without this, a steady stream of small tasks would keep an exclusive one waiting for ever. */
  async #isBehindExclusive(task: Candidate): Promise<boolean> {
    const { tx, settings } = this.#commit;
    const { after, before } = rangeBelow(task.work_directory);
    const around = [task.work_directory, ...ancestorsOf(task.work_directory)];
    const inLine = [
      ...(await tx.all(waitingExclusiveIn, [JSON.stringify(around)])),
      ...(await tx.all(waitingExclusiveBelow, [after, before])),
    ];
    const admitted = new Set(this.#admitted.map(({ seq }) => seq));
    return inLine.some(
      (other) => !admitted.has(other.seq) && this.#isBefore(other, task) && !settings.isPaused(other.work_directory),
    );
  }

  /** Who has waited too long comes first; then priority, then `run_at`, then creation. */
  #isBefore(a: Candidate, b: Candidate): boolean {
    const { now, policy } = this.#commit;
    const isAged = ({ run_at }: Candidate): boolean =>
      policy.priorityAgeingSeconds > 0 && run_at <= now - policy.priorityAgeingSeconds * 1000;
    if (isAged(a) !== isAged(b)) return isAged(a);
    if (a.priority !== b.priority) return a.priority > b.priority;
    return a.run_at !== b.run_at ? a.run_at < b.run_at : a.seq < b.seq;
  }
}

import { sql } from 'kysely';
import type { Commit } from '../commit/commit.ts';
import { defineStatement } from '../db/engine.ts';
import { ancestorsOf, overlaps, rangeBelow } from '../domain/path-tree.ts';
import { readPathSettings } from './paths.ts';
import type { TaskRow } from './task-row.ts';

/** `in_line`: an exclusive task stands before it, or it is one that is not alone yet; who stands before both may go on. */
export type Obstacle = 'paused' | 'path_busy' | 'in_line';
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

/**
 * The first exclusive task in line of each directory and rank: the others there come after it. By a seek in the index
 * tasks_waiting_exclusive for each, however long the line.
 */
export const exclusiveHeads = defineStatement<[directories: string], Candidate>((kysely, arg, dialect) =>
  kysely
    .selectFrom('tasks')
    .select(['seq', 'work_directory', 'priority', 'run_at', 'exclusive'])
    .where(
      sql<boolean>`seq IN (
        SELECT (
          SELECT head.seq FROM tasks head
          WHERE head.status = 'waiting' AND head.exclusive = 1
            AND head.work_directory = directory.value AND head.priority = rank.value
          ORDER BY head.run_at, head.seq LIMIT 1)
        FROM ${dialect.elements(arg(0))} AS directory, (SELECT 0 AS value UNION ALL SELECT 1 UNION ALL SELECT 2) AS rank)`,
    ),
);

/** What every decision rests on; where other servers write, their path settings are learned as well. */
async function readUnderLock({ tx, settings }: Commit): Promise<{ exclusive: string[]; hasExclusiveInLine: boolean }> {
  const [inLine, exclusive, current] = await Promise.all([
    tx.all(anyWaitingExclusive, []),
    tx.all(workingExclusive, []),
    tx.dialect.isShared ? readPathSettings(tx) : null,
  ]);
  if (current !== null) settings.replaceAll(current);
  return { exclusive: exclusive.map(({ work_directory }) => work_directory), hasExclusiveInLine: inLine.length > 0 };
}

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
  readonly #exclusiveHeads = new Map<string, Promise<Candidate[]>>();

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
    let isAlone =
      !tx.dialect.isShared ||
      settings.hasLimits() ||
      policy.maxConcurrentTasks > 0 ||
      (await tx.all(anyWaitingExclusive, [])).length > 0;
    await tx.lockHandOut(isAlone ? 'alone' : 'shared');
    let known = await readUnderLock(commit);
    if (!isAlone && settings.hasLimits()) {
      // Another server has just set the first limit. Should two wait for each other here, one is told to try again.
      isAlone = true;
      await tx.lockHandOut('alone');
      known = await readUnderLock(commit);
    }
    return new PathGuard(commit, { ...known, isAlone });
  }

  admit(task: Candidate): void {
    this.#admitted.push(task);
    if (task.exclusive) this.#exclusive.push(task.work_directory);
  }

  /** What was admitted is at work in the database now. */
  markWritten(): void {
    this.#admitted = [];
  }

  /** Mostly nothing is there that could; then a task needs no closer look. */
  mayHoldBack(task: Candidate): boolean {
    const { settings } = this.#commit;
    const hasExclusive = this.#exclusive.length > 0 || this.#hasExclusiveInLine;
    return task.exclusive === 1 || hasExclusive || settings.hasLimits() || settings.hasPauses();
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
    if (task.exclusive && (await this.#countWorkingAround(directory)) > 0) return 'in_line';
    if (this.#hasExclusiveInLine && (await this.#isBehindExclusive(task))) return 'in_line';
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
    const { settings } = this.#commit;
    const inLine = await this.#exclusiveAround(task.work_directory);
    return inLine.some(
      (other) => other.seq !== task.seq && this.#isBefore(other, task) && !settings.isPaused(other.work_directory),
    );
  }

  /** One that is chosen meanwhile is an obstacle by itself, so the line need not be read again. */
  #exclusiveAround(directory: string): Promise<Candidate[]> {
    let heads = this.#exclusiveHeads.get(directory);
    if (!heads) {
      const { tx, turns } = this.#commit;
      const around = [directory, ...ancestorsOf(directory), ...turns.pathsBelow(directory)];
      heads = tx.all(exclusiveHeads, [JSON.stringify(around)]);
      this.#exclusiveHeads.set(directory, heads);
    }
    return heads;
  }

  /** Who has waited too long comes first, the longest before all; then priority, then `run_at`, then creation. */
  #isBefore(a: Candidate, b: Candidate): boolean {
    const { now, turns } = this.#commit;
    const [isAgedA, isAgedB] = [turns.isAged(a.run_at, now), turns.isAged(b.run_at, now)];
    if (isAgedA !== isAgedB) return isAgedA;
    if (!isAgedA && a.priority !== b.priority) return a.priority > b.priority;
    return a.run_at !== b.run_at ? a.run_at < b.run_at : a.seq < b.seq;
  }
}

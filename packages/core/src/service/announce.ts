import type { TaskStatus } from '@task-orchestrator/contract';
import type { Change, Commit } from '../commit/commit.ts';
import { bandOf } from '../domain/band.ts';
import { isFinished } from '../domain/task-state.ts';
import type { CoreContext } from './context.ts';

/** Tells the rest of the process, and other servers, what a commit has changed. The commit itself has happened. */
export function announce(context: CoreContext, commit: Commit): void {
  const { changes } = commit;
  for (const status of commit.removed) countStatus(context, status, null);
  if (changes.length === 0) return;
  for (const { from, task } of changes) {
    countStatus(context, from, task.status);
    countWaiting(context, from, task);
    if (task.status === 'scheduled') context.due.expect(task.run_at);
  }
  const ready = changes.filter(({ task }) => task.status === 'waiting');
  if (ready.length > 0) {
    rememberReady(context, changes);
    context.waiters.wakeForReady(countPerPath(ready));
  }
  const hasFreed = changes.some(isFreeing);
  if (hasFreed) context.waiters.wakeHeld();
  context.ends.publish(changes);
  context.feed.publish(changes);
  context.engine.peers?.publish({
    types: [...new Set(changes.map(({ type }) => type))],
    ready: ready.map(({ task }) => [task.work_directory, task.priority, task.run_at, 1]),
    hasFreed,
    hasNewSettings: false,
  });
  context.observer.onEvents?.(changes.map((change) => measure(change, commit.now)));
}

/** Look-ups that could not see the commit yet may have found that nothing is waiting. */
function rememberReady({ turns }: CoreContext, changes: readonly Change[]): void {
  const latest = new Map<number, Change['task']>();
  for (const { task } of changes) latest.set(task.seq, task);
  for (const task of latest.values()) {
    if (task.status === 'waiting') turns.add(task.work_directory, task.priority, task.run_at, bandOf(task));
  }
}

/** Whether others may now be handed out: a task has left work, or an exclusive one has left the line without it. */
function isFreeing({ from, task }: Change): boolean {
  if (from === 'waiting' && task.exclusive) return task.status !== 'working';
  return from === 'working' && task.status !== 'working';
}

/** Where other servers write too, counting is left to the database. */
function countStatus({ engine, counts }: CoreContext, from: TaskStatus | null, to: TaskStatus | null): void {
  if (engine.peers !== null) return;
  if (from !== null) counts.byStatus[from] -= 1;
  if (to !== null) counts.byStatus[to] += 1;
}

function countWaiting(
  { counts, waiting }: CoreContext,
  from: TaskStatus | null,
  { status, priority, work_directory }: Change['task'],
): void {
  const change = Number(status === 'waiting') - Number(from === 'waiting');
  if (waiting === null || change === 0) return;
  counts.waitingByRank[priority]! += change;
  waiting.add(work_directory, change);
}

function countPerPath(changes: readonly Change[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { task } of changes) counts.set(task.work_directory, (counts.get(task.work_directory) ?? 0) + 1);
  return counts;
}

function measure(
  { type, task }: Change,
  now: number,
): { type: Change['type']; waitSeconds?: number; workSeconds?: number } {
  if (type === 'acquired') return { type, waitSeconds: (now - Math.max(task.created_at, task.run_at)) / 1000 };
  const hasWorked = task.started_at !== null && isFinished(task.status);
  return hasWorked ? { type, workSeconds: (now - task.started_at) / 1000 } : { type };
}

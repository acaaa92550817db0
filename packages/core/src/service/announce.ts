import type { Change, Commit } from '../commit/commit.ts';
import { isFinished } from '../domain/task-state.ts';
import type { CoreContext } from './context.ts';

/** Tells the rest of the process what a commit has changed. Nothing here can fail the commit: it has happened. */
export function announce(context: CoreContext, commit: Commit): void {
  const { changes } = commit;
  if (changes.length === 0) return;
  for (const { from, task } of changes) {
    if (from !== null) context.counts[from] -= 1;
    context.counts[task.status] += 1;
    if (task.status === 'scheduled') context.due.expect(task.run_at);
  }
  context.waiters.wakeForReady(countReady(changes));
  if (changes.some(({ from, task }) => from === 'working' && task.status !== 'working')) context.waiters.wakeHeld();
  context.ends.publish(changes.filter(({ task }) => isFinished(task.status)).map(({ task }) => task.task_id));
  if (commit.lastEventSeq !== null) context.feed.publish(changes, commit.lastEventSeq);
  context.observer.onEvents?.(changes.map((change) => measure(change, commit.now)));
}

function countReady(changes: readonly Change[]): Map<string, number> {
  const ready = new Map<string, number>();
  for (const { task } of changes) {
    if (task.status === 'waiting') ready.set(task.work_directory, (ready.get(task.work_directory) ?? 0) + 1);
  }
  return ready;
}

function measure(
  { type, task }: Change,
  now: number,
): { type: Change['type']; waitSeconds?: number; workSeconds?: number } {
  if (type === 'acquired') return { type, waitSeconds: (now - Math.max(task.created_at, task.run_at)) / 1000 };
  const hasWorked = task.started_at !== null && isFinished(task.status);
  return hasWorked ? { type, workSeconds: (now - task.started_at) / 1000 } : { type };
}

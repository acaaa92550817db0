import type { AcquiredTask, EmptyReason } from '@task-orchestrator/contract';
import { UnreadableError } from '../encryption/cipher.ts';
import { acquireTasks, tasksByAcquireId, type AcquireCall, type Acquired } from '../repository/acquire.ts';
import { failTasks } from '../repository/fail.ts';
import { releaseTasks } from '../repository/release.ts';
import { toAcquiredTask, type TaskRow } from '../repository/task-row.ts';
import type { CoreContext } from './context.ts';
import { endOfWait, untilNextLook } from './waiting.ts';

/** What the worker gets, and why it is nothing. */
export interface Polled {
  readonly tasks: AcquiredTask[];
  readonly reason: EmptyReason | null;
}

const NOTHING = { tasks: [], reason: 'empty' } as const satisfies Acquired;

/**
 * Acquires, or waits until there is something to acquire. When the caller goes away meanwhile, what it would have
 * got goes back at once, so no lease is left behind.
 */
export async function pollForTasks(
  context: CoreContext,
  call: AcquireCall,
  waitSeconds: number,
  signal: AbortSignal | undefined,
): Promise<Polled> {
  const { waiters, turns, ending } = context;
  const flushed = context.commits.watchFlushes();
  const end = endOfWait(waitSeconds * 1000);
  context.sightings.sawAcquire(call.worker_id, context.engine.clock());
  let mustLook = !turns.hasAny(call.selector) && (await mayRepeat(context, call));
  for (;;) {
    const { version } = turns;
    const acquired = await tryAcquire(context, call, mustLook);
    mustLook = false;
    if (acquired.tasks.length > 0) {
      if (signal?.aborted) {
        await giveBack(context, acquired);
        return { tasks: [], reason: 'empty' };
      }
      const tasks = await openTasks(context, acquired.tasks);
      if (tasks.length > 0) {
        void giveBackUnlessHeard(context, acquired, { flushed, signal });
        return { tasks, reason: null };
      }
      // What stands behind those that cannot be read may well be.
      continue;
    }
    if (performance.now() >= end || signal?.aborted || ending.aborted) return { tasks: [], reason: acquired.reason };
    // Something became ready while the commit was under way: look before waiting.
    if (turns.version !== version) continue;
    const isHeld = acquired.reason !== 'empty';
    mustLook = await waiters.wait(
      { selector: call.selector, limit: call.limit, isHeld },
      untilNextLook(context, end),
      signal,
    );
  }
}

/** Whether an earlier call may have got an answer that is to be given again. While nothing else is written, a look can tell. */
async function mayRepeat({ engine, commits }: CoreContext, { acquire_id }: AcquireCall): Promise<boolean> {
  if (acquire_id === null) return false;
  if (engine.peers !== null || !commits.isIdle) return true;
  const tasks = await engine.reader.all(tasksByAcquireId, [JSON.stringify([acquire_id])]);
  return tasks.length > 0;
}

/** Spares the commit when nothing can be waiting. */
async function tryAcquire(context: CoreContext, call: AcquireCall, mustLook: boolean): Promise<Acquired> {
  if (!mustLook && !context.turns.hasAny(call.selector)) return NOTHING;
  return context.commits.run(acquireTasks, call);
}

/** No worker can do anything with a task that cannot be decrypted, nor may it stand in the way of others: its attempt fails. */
async function openTasks(context: CoreContext, rows: readonly TaskRow[]): Promise<AcquiredTask[]> {
  const tasks: AcquiredTask[] = [];
  for (const row of rows) {
    try {
      tasks.push(toAcquiredTask(row, context.cipher));
    } catch (error) {
      if (!(error instanceof UnreadableError)) throw error;
      context.observer.onError?.(error, 'hand-out of a task');
      await failUnreadable(context, row, error);
    }
  }
  return tasks;
}

/** Another server may know the key, so that another attempt is worth while; what is damaged stays so. */
async function failUnreadable(
  { commits }: CoreContext,
  { task_id, lease_token }: TaskRow,
  { message, isKeyUnknown }: UnreadableError,
): Promise<void> {
  const error = { code: 'UNREADABLE', message };
  // Should it not go through, the lease runs out, and the next hand-out comes to the same.
  await Promise.allSettled([
    commits.run(failTasks, { task_id, lease_token: lease_token!, error, retryable: isKeyUnknown }),
  ]);
}

/** Nobody hears of the hand-out if the caller goes away while it is on its way to the disk, or if it may not get there. */
async function giveBackUnlessHeard(
  context: CoreContext,
  acquired: Acquired,
  { flushed, signal }: { flushed: () => Promise<void>; signal: AbortSignal | undefined },
): Promise<void> {
  const isDurable = await flushed().then(
    () => true,
    () => false,
  );
  if (!isDurable || signal?.aborted) await giveBack(context, acquired);
}

async function giveBack(context: CoreContext, { tasks }: Acquired): Promise<void> {
  const reason = 'the caller was not answered';
  await Promise.allSettled(
    tasks.map(({ task_id, lease_token }) =>
      context.commits.run(releaseTasks, { task_id, lease_token: lease_token!, reason }),
    ),
  );
}

import { acquireTasks, type AcquireCall, type Acquired } from '../repository/acquire.ts';
import { releaseTasks } from '../repository/release.ts';
import type { CoreContext } from './context.ts';

/** A waiting poll looks again after this long even if nobody woke it: other servers' notices may get lost. */
const NET_MS = 5_000;
const NET_ALONE_MS = 60_000;

const NOTHING: Acquired = { tasks: [], reason: 'empty' };

/**
 * Acquires, or waits until there is something to acquire. When the caller goes away meanwhile, what it would have
 * got goes back at once, so no lease is left behind.
 */
export async function pollForTasks(
  context: CoreContext,
  call: AcquireCall,
  waitSeconds: number,
  signal: AbortSignal | undefined,
): Promise<Acquired> {
  const { waiters, turns, ending } = context;
  const netMs = context.engine.peers === null ? NET_ALONE_MS : NET_MS;
  const until = performance.now() + waitSeconds * 1000;
  const stop = signal ? AbortSignal.any([signal, ending]) : ending;
  context.sightings.sawAcquire(call.worker_id, context.engine.clock());
  // The first time, the answer to an earlier call may be there.
  let mustLook = call.acquire_id !== null;
  for (;;) {
    const { version } = turns;
    const acquired = await tryAcquire(context, call, mustLook);
    mustLook = false;
    if (acquired.tasks.length > 0) {
      if (!signal?.aborted) return acquired;
      await giveBack(context, acquired);
      return NOTHING;
    }
    const left = until - performance.now();
    if (left <= 0 || stop.aborted) return acquired;
    // Something became ready while the commit was under way: look before waiting.
    if (turns.version !== version) continue;
    const isHeld = acquired.reason !== 'empty';
    mustLook = await waiters.wait({ selector: call.selector, limit: call.limit, isHeld }, Math.min(left, netMs), stop);
  }
}

/** Spares the commit when nothing can be waiting. */
async function tryAcquire(context: CoreContext, call: AcquireCall, mustLook: boolean): Promise<Acquired> {
  if (!mustLook && !context.turns.hasAny(call.selector)) return NOTHING;
  return context.commits.run(acquireTasks, call);
}

async function giveBack(context: CoreContext, { tasks }: Acquired): Promise<void> {
  const reason = 'the caller went away before the answer';
  await Promise.allSettled(
    tasks.map(({ task_id, lease_token }) =>
      context.commits.run(releaseTasks, { task_id, lease_token: lease_token!, reason }),
    ),
  );
}

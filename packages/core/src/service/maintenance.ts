import { Background } from '../dispatch/background.ts';
import { expiredLeases, expireLeases } from '../repository/expire-leases.ts';
import { nextDue, promoteDue } from '../repository/promote-due.ts';
import { removeFinished } from '../repository/remove-finished.ts';
import { saveSightings } from '../repository/workers.ts';
import type { CoreContext } from './context.ts';
import { followPeers } from './peers.ts';

const LEASE_SWEEP_MS = 500;
const SIGHTINGS_MS = 1_000;
const DUE_NET_MS = 1_000;
/** Small steps: a commit that takes this many is over in a few milliseconds. */
const STEP = 200;
/** Workers could not reach a server that was down: their leases get this long after its start. */
const GRACE_MS = 5_000;
const DAY_MS = 86_400_000;

/** Starts what a core does by itself: leases run out, tasks fall due, sightings are written, old tasks go. */
export async function startMaintenance(context: CoreContext): Promise<Background> {
  const background = new Background((error, doing) => context.observer.onError?.(error, doing));
  const sweepFrom = context.engine.clock() + ((await hasExpiredLease(context)) ? GRACE_MS : 0);
  background.every(LEASE_SWEEP_MS, 'lease sweep', async () => {
    if (context.engine.clock() >= sweepFrom) await sweepLeases(context);
  });
  background.every(SIGHTINGS_MS, 'worker sightings', () => writeSightings(context));
  background.every(context.policy.cleanupIntervalSeconds * 1000, 'retention', () => removeOldTasks(context));
  // Tasks that another server has scheduled are not expected here until somebody looks.
  if (context.engine.peers !== null) background.every(DUE_NET_MS, 'look for due tasks', () => promoteDueTasks(context));
  followPeers(context, background);
  context.due.start();
  await expectNextDue(context);
  return background;
}

/** Everything once. */
export async function runMaintenance(context: CoreContext): Promise<void> {
  await sweepLeases(context);
  await promoteDueTasks(context);
  await writeSightings(context);
  await removeOldTasks(context);
}

async function sweepLeases(context: CoreContext): Promise<void> {
  while (await hasExpiredLease(context)) await context.commits.run(expireLeases, { limit: STEP });
}

async function hasExpiredLease({ engine }: CoreContext): Promise<boolean> {
  const rows = await engine.reader.all(expiredLeases, [await engine.now(), 1]);
  return rows.length > 0;
}

export async function promoteDueTasks(context: CoreContext): Promise<void> {
  const [next] = await context.engine.reader.all(nextDue, []);
  if (next && next.run_at > (await context.engine.now())) return context.due.expect(next.run_at);
  while ((await context.commits.run(promoteDue, { limit: STEP })) === STEP) continue;
  await expectNextDue(context);
}

async function expectNextDue(context: CoreContext): Promise<void> {
  const [next] = await context.engine.reader.all(nextDue, []);
  if (next) context.due.expect(next.run_at);
}

export async function writeSightings(context: CoreContext): Promise<void> {
  const sightings = context.sightings.takeAll();
  if (sightings.length > 0) await context.commits.run(saveSightings, sightings);
}

async function removeOldTasks(context: CoreContext): Promise<void> {
  const finishedBefore = context.engine.clock() - context.policy.retentionDays * DAY_MS;
  while ((await context.commits.run(removeFinished, { finishedBefore, limit: STEP })) === STEP) continue;
}

import { Background } from '../dispatch/background.ts';
import { DomainError } from '../domain-error.ts';
import { noteKey } from '../encryption/keys-in-use.ts';
import { saveKeyUses } from '../repository/api-keys.ts';
import { expiredLeases, expireLeases } from '../repository/expire-leases.ts';
import { probeWrites } from '../repository/probe-writes.ts';
import { nextDue, promoteDue } from '../repository/promote-due.ts';
import { removeFinished } from '../repository/remove-finished.ts';
import { lastSignOfLife, saveSightings } from '../repository/workers.ts';
import type { CoreContext } from './context.ts';
import { followPeers } from './peers.ts';

const LEASE_SWEEP_MS = 500;
const SIGHTINGS_MS = 1_000;
const KEY_USES_MS = 60_000;
const KEY_NOTE_MS = 60_000;
const DUE_NET_MS = 1_000;
/** Small steps: a commit that takes this many is over in a few milliseconds. */
const STEP = 200;
/** Workers could not renew leases while no server was there, or none could write: those that ran out meanwhile get this long. */
const GRACE_MS = 5_000;
const DAY_MS = 86_400_000;

/** Starts what a core does by itself: leases run out, tasks fall due, sightings are written, old tasks go. */
export async function startMaintenance(context: CoreContext): Promise<Background> {
  const background = new Background((error, doing) => context.observer.onError?.(error, doing));
  const diedAt = await lastSignOfLife(context.engine.reader);
  background.every(LEASE_SWEEP_MS, 'lease sweep', createLeaseSweep(context, diedAt));
  background.every(SIGHTINGS_MS, 'worker sightings', () => writeSightings(context));
  background.every(KEY_USES_MS, 'uses of keys', () => writeKeyUses(context));
  background.every(context.policy.cleanupIntervalSeconds * 1000, 'retention', () => removeOldTasks(context));
  // Tasks that another server has scheduled are not expected here until somebody looks.
  if (context.engine.peers !== null) background.every(DUE_NET_MS, 'look for due tasks', () => promoteDueTasks(context));
  if (context.engine.peers !== null) background.every(KEY_NOTE_MS, 'key in use', () => noteKeyAgain(context));
  followPeers(context, background);
  context.due.start();
  await expectNextDue(context);
  return background;
}

function createLeaseSweep(context: CoreContext, diedAt: number): () => Promise<void> {
  const { engine, commits } = context;
  let grace = { before: diedAt, until: engine.clock() + GRACE_MS };
  let stuckSince: number | null = null;
  return async () => {
    // Else nobody would notice the end of an outage where no caller writes.
    if (commits.outage === null || (await isDone(commits.run(probeWrites, null)))) stuckSince = null;
    else {
      stuckSince ??= engine.clock() - LEASE_SWEEP_MS;
      grace = { before: stuckSince, until: engine.clock() + GRACE_MS };
      return;
    }
    await sweepLeases(context, engine.clock() < grace.until ? grace.before : Infinity);
  };
}

/** Everything once. */
export async function runMaintenance(context: CoreContext): Promise<void> {
  await sweepLeases(context);
  await promoteDueTasks(context);
  await writeSightings(context);
  await writeKeyUses(context);
  await noteKeyAgain(context);
  await removeOldTasks(context);
}

/** @param before leases that ran out later are left alone; milliseconds since the epoch. */
async function sweepLeases({ engine, commits }: CoreContext, before = Infinity): Promise<void> {
  for (;;) {
    const expired = await engine.reader.all(expiredLeases, [Math.min(before, await engine.now()), 1]);
    if (expired.length === 0) return;
    await commits.run(expireLeases, { before, limit: STEP });
  }
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
  if (sightings.length === 0) return;
  try {
    await context.commits.run(saveSightings, sightings);
  } catch (error) {
    context.sightings.putBack(sightings);
    throw error;
  }
}

/** Before a read that shows them: what cannot be written now does not keep anyone from reading. */
export async function tryWriteSightings(context: CoreContext): Promise<void> {
  await isDone(writeSightings(context));
}

/** Whether the write went through; false in an outage. */
async function isDone(write: Promise<void>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (error instanceof DomainError && error.code === 'UNAVAILABLE') return false;
    throw error;
  }
}

export async function writeKeyUses({ keyUses, commits }: CoreContext): Promise<void> {
  const uses = [...keyUses];
  keyUses.clear();
  if (uses.length === 0) return;
  try {
    await commits.run(saveKeyUses, uses);
  } catch (error) {
    // A key that was used again meanwhile was used later.
    for (const [keyId, at] of uses) if (!keyUses.has(keyId)) keyUses.set(keyId, at);
    throw error;
  }
}

/** Before a list that shows them. */
export async function tryWriteKeyUses(context: CoreContext): Promise<void> {
  await isDone(writeKeyUses(context));
}

/** A rewrite under another key has this one forgotten: its operator may not know that this server still writes under it. */
async function noteKeyAgain({ engine, cipher }: CoreContext): Promise<void> {
  if (engine.peers !== null) await noteKey(engine, cipher);
}

async function removeOldTasks(context: CoreContext): Promise<void> {
  const finishedBefore = context.engine.clock() - context.policy.retentionDays * DAY_MS;
  while ((await context.commits.run(removeFinished, { finishedBefore, limit: STEP })) === STEP) continue;
}

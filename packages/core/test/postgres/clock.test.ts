import { expect, test, vi } from 'vitest';
import { aTask, completionOf, heartbeatOf, statusOf, take } from '../builders.ts';
import { openReplica, openReplicas } from './replicas.ts';

const HOUR_MS = 3_600_000;

/** What happens within is done by a process whose clock is wrong. */
async function withClockOffBy<T>(milliseconds: number, work: () => Promise<T>): Promise<T> {
  const now = Date.now;
  const skewed = vi.spyOn(Date, 'now').mockImplementation(() => now() + milliseconds);
  try {
    return await work();
  } finally {
    skewed.mockRestore();
  }
}

test.each([HOUR_MS, -HOUR_MS])(
  'a server whose clock is off by %i ms ends no lease early and grants none for long',
  async (skew) => {
    const { url, cores } = await openReplicas(1, { background: false });
    const right = cores[0]!;
    await right.createTask(aTask());
    await right.createTask(aTask());
    const held = await take(right);
    const { lease_expires_at, wrongLease } = await withClockOffBy(skew, async () => {
      const { core: wrong } = await openReplica(url, { background: false });
      await wrong.tick();
      const reply = await wrong.heartbeat(heartbeatOf(held));
      const other = await take(wrong);
      return { lease_expires_at: reply.lease_expires_at, wrongLease: other };
    });
    for (const expiry of [lease_expires_at, wrongLease.lease_expires_at!]) {
      const left = Date.parse(expiry) - Date.now();
      expect(left).toBeGreaterThan(20_000);
      expect(left).toBeLessThanOrEqual(30_000);
    }
    await right.tick();
    expect(await statusOf(right, wrongLease)).toBe('working');
    await right.completeTask(completionOf(held));
  },
);

test('a task is due by the clock of the database, whatever the servers think', async () => {
  const { url, cores } = await openReplicas(1, { background: false });
  const task = await cores[0]!.createTask(aTask({ run_at: new Date(Date.now() + HOUR_MS / 2).toISOString() }));
  await withClockOffBy(HOUR_MS, async () => {
    const { core: ahead } = await openReplica(url, { background: false });
    await ahead.tick();
    expect(await statusOf(ahead, task)).toBe('scheduled');
  });
});

import fc from 'fast-check';
import { expect, onTestFinished, test, vi } from 'vitest';
import { anAcquire } from '../../test/builders.ts';
import { ALL_ENGINES } from '../../test/engines.ts';
import { endOfWait } from './waiting.ts';

const moment = fc.double({ min: 0, max: 1e9, noNaN: true });

test('a long wait ends at most half a second early, and never late', () => {
  fc.assert(
    fc.property(moment, fc.double({ min: 5_000, max: 60_000, noNaN: true }), (now, waitMs) => {
      const early = now + waitMs - endOfWait(waitMs, now);
      expect(early).toBeGreaterThanOrEqual(0);
      expect(early).toBeLessThanOrEqual(500);
    }),
  );
});

test('a short wait ends when it is to', () => {
  fc.assert(
    fc.property(moment, fc.integer({ min: 0, max: 4_999 }), (now, waitMs) => {
      expect(endOfWait(waitMs, now)).toBe(now + waitMs);
    }),
  );
});

test('polls that have begun at different times wake the process up once', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { core } = await ALL_ENGINES['SQLite memory'].open();
  const answeredAt = new Set<number>();
  const poll = async (wait_seconds: number): Promise<void> => {
    expect((await core.acquireTasks(anAcquire({ wait_seconds }))).tasks).toEqual([]);
    answeredAt.add(performance.now());
  };
  const polls: Promise<void>[] = [];
  for (let index = 0; index < 10; index++) {
    polls.push(poll(20), poll(30));
    await vi.advanceTimersByTimeAsync(37);
  }
  await vi.advanceTimersByTimeAsync(31_000);
  await Promise.all(polls);
  expect([...answeredAt].map((ms) => ms % 500)).toEqual([0, 0]);
});

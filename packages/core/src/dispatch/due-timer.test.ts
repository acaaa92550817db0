import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DueTimer } from './due-timer.ts';

const DAY = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount(), 'timers left running').toBe(0);
  vi.useRealTimers();
});

function startTimer(): { timer: DueTimer; fired: number[] } {
  const start = Date.now();
  const fired: number[] = [];
  const timer = new DueTimer(
    () => Date.now(),
    () => fired.push(Date.now() - start),
  );
  timer.start();
  return { timer, fired };
}

test('it fires once, when the earliest is due', () => {
  const { timer, fired } = startTimer();
  const now = Date.now();
  for (const delay of [500, 200, 900]) timer.expect(now + delay);
  expect(timer.dueAt).toBe(now + 200);
  vi.advanceTimersByTime(1_000);
  expect(fired).toEqual([200]);
  expect(timer.dueAt).toBe(Infinity);
});

test('what is due already fires at once', () => {
  const { timer, fired } = startTimer();
  timer.expect(Date.now() - 5_000);
  vi.advanceTimersByTime(1);
  expect(fired).toHaveLength(1);
});

test('a time further away than a timer can reach is reached all the same', () => {
  const { timer, fired } = startTimer();
  timer.expect(Date.now() + 60 * DAY);
  vi.advanceTimersByTime(59 * DAY);
  expect(fired).toEqual([]);
  vi.advanceTimersByTime(DAY);
  expect(fired).toEqual([60 * DAY]);
});

test('a clock that is behind the timer makes it wait for its time', () => {
  let now = 0;
  const fired: number[] = [];
  const timer = new DueTimer(
    () => now,
    () => fired.push(now),
  );
  timer.start();
  timer.expect(100);
  now = 99;
  vi.advanceTimersByTime(100);
  expect(fired).toEqual([]);
  now = 100;
  vi.advanceTimersByTime(1);
  expect(fired).toEqual([100]);
});

test('before its start it remembers and does nothing, and after its stop it does nothing', () => {
  const fired: number[] = [];
  const timer = new DueTimer(
    () => Date.now(),
    () => fired.push(1),
  );
  timer.expect(Date.now() + 10);
  expect(vi.getTimerCount()).toBe(0);
  timer.start();
  expect(vi.getTimerCount()).toBe(1);
  timer.stop();
  timer.expect(Date.now() + 10);
  vi.advanceTimersByTime(100);
  expect(fired).toEqual([]);
});

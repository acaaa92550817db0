import { expect, test } from 'vitest';
import { retryDelayMs } from './backoff.ts';

test('the delay doubles with each attempt, from a second to ten minutes', () => {
  const longest = Array.from({ length: 12 }, (_, index) => retryDelayMs(index + 1, 1 - Number.EPSILON) / 1000);
  expect(longest).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
});

test.for([1, 5, 1000, Number.MAX_SAFE_INTEGER])('a random half is taken off at most: attempt %i', (attempt) => {
  const [shortest, longest] = [retryDelayMs(attempt, 0), retryDelayMs(attempt, 1 - Number.EPSILON)];
  expect(shortest).toBe(longest / 2);
  for (const random of [0.1, 0.123456789, 0.9]) {
    const delay = retryDelayMs(attempt, random);
    expect(Number.isInteger(delay)).toBe(true);
    expect(delay).toBeGreaterThanOrEqual(shortest);
    expect(delay).toBeLessThanOrEqual(longest);
  }
});

import { randomFillSync, randomInt } from 'node:crypto';

const COUNTER_LIMIT = 2 ** 26;
const RANDOM_DIGITS = 12;
const pool = Buffer.alloc(256 * (RANDOM_DIGITS / 2));
let digits = '';
let used = 0;
let count = randomInt(COUNTER_LIMIT / 2);
let lastMs = -1;
let time = '';

/**
 * A UUID of version 7 (RFC 9562, section 5.7): milliseconds, a counter of 26 bits, 48 random bits. Those of one process grow.
 * Random bytes are drawn for many at once, which is most of their cost.
 */
export function timeOrderedId(now: number): string {
  if (used === digits.length) {
    digits = randomFillSync(pool).toString('hex');
    used = 0;
  }
  if (now !== lastMs) {
    lastMs = now;
    const hex = now.toString(16).padStart(12, '0');
    time = `${hex.slice(0, 8)}-${hex.slice(8)}`;
  }
  count = (count + 1) % COUNTER_LIMIT;
  const withVersion = (0x7000 | (count >>> 14)).toString(16);
  const withVariant = (0x8000 | (count & 0x3fff)).toString(16);
  return `${time}-${withVersion}-${withVariant}-${digits.slice(used, (used += RANDOM_DIGITS))}`;
}

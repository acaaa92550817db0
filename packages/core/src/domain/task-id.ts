import { randomFillSync, randomInt } from 'node:crypto';
import { v7 } from 'uuid';

const RANDOM_BYTES = 16;
const pool = Buffer.alloc(256 * RANDOM_BYTES);
let used = pool.length;
let count = randomInt(2 ** 31);

/** A UUID of version 7; those of one process grow. Random bytes are drawn for many at once, which is most of their cost. */
export function createTaskId(now: number): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, (used += RANDOM_BYTES));
  count = (count + 1) >>> 0;
  return v7({ msecs: now, seq: count, random });
}

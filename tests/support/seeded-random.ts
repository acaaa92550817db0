import { onTestFailed } from 'vitest';
import { createRandom, type Random } from './random-numbers.ts';

/** Chance that can be had again: a test that fails says which `TEST_SEED` to run it with. */
export function seededRandom(): Random {
  const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  onTestFailed(() => console.error(`to run the same again: TEST_SEED=${seed}`));
  return createRandom(seed);
}

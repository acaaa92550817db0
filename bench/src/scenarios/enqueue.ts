import { scaled, withMemory, withStore, type Bench } from '../bench.ts';
import type { System } from '../systems.ts';

const MAX_MS = 3000;
const WARM_UP_MS = 2000;
const BATCH = 500;

/** A: one at a time from 64 concurrent callers. */
export function measureEnqueue(bench: Bench, system: System): Promise<void> {
  return measure(bench, system, { name: 'A', count: scaled(bench, 60_000), callers: 64, batch: 1 });
}

/** B: 500 at a time from one caller. */
export function measureBulk(bench: Bench, system: System): Promise<void> {
  return measure(bench, system, { name: 'B', count: scaled(bench, 150_000, BATCH), callers: 1, batch: BATCH });
}

/** After the same load from another process, so that the server is one that has been at work and not one that compiles. */
async function measure(
  bench: Bench,
  system: System,
  { name, ...load }: { name: string; count: number; callers: number; batch: number },
): Promise<void> {
  await withStore(bench, system, async (store) => {
    await store.load({ action: 'enqueue', ...load, maxMs: WARM_UP_MS });
    const result = await store.load({ action: 'enqueue', ...load, maxMs: MAX_MS });
    bench.add(system.id, name, withMemory(store, result));
  });
}

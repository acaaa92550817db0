import { scaled, withMemory, withStore, type Bench } from '../bench.ts';
import type { System } from '../systems.ts';

const MAX_MS = 3000;
const BATCH = 500;

/** A: one at a time from 64 concurrent callers, on an empty store. */
export async function measureEnqueue(bench: Bench, system: System): Promise<void> {
  await withStore(bench, system, async (store) => {
    const count = scaled(bench, 60_000);
    const result = await store.load({ action: 'enqueue', count, maxMs: MAX_MS, callers: 64, batch: 1 });
    bench.add(system.id, 'A', withMemory(store, result));
  });
}

/** B: 500 at a time from one caller, on an empty store. */
export async function measureBulk(bench: Bench, system: System): Promise<void> {
  await withStore(bench, system, async (store) => {
    const count = scaled(bench, 150_000, BATCH);
    const result = await store.load({ action: 'enqueue', count, maxMs: MAX_MS, callers: 1, batch: BATCH });
    bench.add(system.id, 'B', withMemory(store, result));
  });
}

import { scaled, withMemory, withStore, type Bench } from '../bench.ts';
import type { System } from '../systems.ts';

/** D: one task every 20 ms to a worker that waits. */
export async function measurePickup(bench: Bench, system: System): Promise<void> {
  await withStore(bench, system, async (store) => {
    const result = await store.load({ action: 'pickup', count: scaled(bench, 300, 50), everyMs: 20 });
    bench.add(system.id, 'D', withMemory(store, result));
  });
}

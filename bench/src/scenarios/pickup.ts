import { scaled, withMemory, withStore, type Bench, type Store } from '../bench.ts';
import type { Values } from '../results.ts';
import type { System } from '../systems.ts';

/** D: one task every 20 ms to a worker that waits, after twice as many that do not count: server and load process compile. */
export async function measurePickup(bench: Bench, system: System): Promise<void> {
  await withStore(bench, system, async (store) => {
    bench.add(system.id, 'D', withMemory(store, await pickUp(bench, store)));
  });
}

export function pickUp(bench: Bench, store: Store): Promise<Values> {
  const count = scaled(bench, 300, 50);
  return store.load({ action: 'pickup', warmUp: 2 * count, count, everyMs: 20 });
}

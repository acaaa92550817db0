import { scaled, withMemory, withStore, type Bench, type Store } from '../bench.ts';
import type { OurServer } from '../servers/ours.ts';
import type { System } from '../systems.ts';
import { measureBareHttp } from './limits.ts';
import { runWrk, type WrkRun } from './wrk.ts';

interface HttpCase {
  readonly script: WrkRun['script'];
  readonly path?: string;
  /** Operations of one request. */
  readonly calls: number;
  /** Tasks that one request has made, as a whole run shows. */
  readonly tasks: number;
}

export const HTTP_CASES = {
  create: { script: 'create.lua', path: '/api/v1/tasks', calls: 1, tasks: 1 },
  'life-cycle': { script: 'life-cycle.lua', calls: 1, tasks: 1 / 3 },
  trpc: { script: 'create.lua', path: '/trpc/tasks.create', calls: 1, tasks: 1 },
  'trpc-batch': { script: 'trpc-batch.lua', calls: 10, tasks: 10 },
} as const satisfies Record<string, HttpCase>;
export type HttpCaseName = keyof typeof HTTP_CASES;

/** G: single requests under wrk, each case on an empty store, right after the bare limit. */
export async function measureHttp(bench: Bench, system: System): Promise<void> {
  await measureBareHttp(bench, 'G bare');
  for (const name of Object.keys(HTTP_CASES) as HttpCaseName[]) {
    await withStore(bench, system, async (store) => {
      const values = await loadHttp(bench, store, name);
      bench.add(system.id, `G ${name}`, values);
    });
  }
}

export async function loadHttp(bench: Bench, store: Store, name: HttpCaseName) {
  const { script, calls, tasks, ...rest }: HttpCase = HTTP_CASES[name];
  const { url, apiKey } = accessOf(store);
  const seconds = scaled(bench, 8, 2);
  const values = await runWrk(bench, { script, url, apiKey, seconds, ...rest });
  const { per_second = NaN } = values;
  const made = await countTasks(store);
  const expected = per_second * seconds * tasks;
  // wrk sees only statuses; what a request has done is seen in the store.
  if (made < expected * 0.99) throw new Error(`${Math.round(expected)} tasks were acknowledged, the store has ${made}`);
  return withMemory(store, { ...values, calls_per_second: per_second * calls });
}

export function accessOf({ server }: Store): OurServer['access'] {
  // Only our own server is asked for its URL.
  return server.access as OurServer['access'];
}

async function countTasks(store: Store): Promise<number> {
  const { url, apiKey } = accessOf(store);
  const response = await fetch(`${url}/api/v1/statistics`, { headers: { authorization: `Bearer ${apiKey}` } });
  const { data } = (await response.json()) as { data: { total_tasks: number } };
  return data.total_tasks;
}

import { setTimeout as sleep } from 'node:timers/promises';
import { corePrefix, scaled, sourceFlags, withMemory, withStore, type Bench } from '../bench.ts';
import type { IdleConfig } from '../load/idle.ts';
import { startLoad } from '../load/start-load.ts';
import { places } from '../places.ts';
import { cpuSeconds } from '../processes.ts';
import type { System } from '../systems.ts';
import { accessOf } from './http.ts';

const POLLS = 1000;
const CALLS_PER_SECOND = 100;

/**
 * H: processor time of a server that only waits, and of one with little to do, in percent of one core. The first 30 seconds,
 * in which each poll comes once, do not count: a server that has just started compiles what it does.
 */
export async function measureIdle(bench: Bench, system: System): Promise<void> {
  await measureCpu(bench, system, { name: 'H polls', config: { polls: POLLS, callsPerSecond: 0 } });
  await measureCpu(bench, system, { name: 'H 100/s', config: { polls: 0, callsPerSecond: CALLS_PER_SECOND } });
}

async function measureCpu(
  bench: Bench,
  system: System,
  { name, config }: { name: string; config: Pick<IdleConfig, 'polls' | 'callsPerSecond'> },
): Promise<void> {
  const seconds = scaled(bench, 20, 5);
  await withStore(bench, system, async (store) => {
    const settleMs = scaled(bench, 30_000, 3_000);
    const argument = JSON.stringify({ ...accessOf(store), ...config, settleMs } satisfies IdleConfig);
    const command = [...corePrefix(bench, 'load'), process.execPath, ...sourceFlags(bench), places.idle, argument];
    const load = startLoad({ command, limitMs: (seconds + 90) * 1000 });
    await load.next();
    const before = cpuSeconds(store.server.pids());
    const startedAt = performance.now();
    await sleep(seconds * 1000);
    const used = cpuSeconds(store.server.pids()) - before;
    const cpu_percent = (used / ((performance.now() - startedAt) / 1000)) * 100;
    bench.add(system.id, name, withMemory(store, { cpu_percent }));
    await load.stop();
  });
}

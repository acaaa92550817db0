import { setTimeout as sleep } from 'node:timers/promises';
import { corePrefix, scaled, withFolder, type Bench } from '../bench.ts';
import { fillStore } from '../load/fill.ts';
import { peakRssMib } from '../processes.ts';
import { startOurs, type OurServer } from '../servers/ours.ts';
import type { System } from '../systems.ts';
import { runWrk } from './wrk.ts';

const TASKS = 1_000_000;
/** Longer than the warm-up of wrk, shorter than the whole run. */
const KILLED_AFTER_MS = 2500;

/** I: from the launch to ready, after an orderly end and after kill -9 in the middle of writes; the file is in the page cache. */
export async function measureRestart(bench: Bench, system: System): Promise<void> {
  await withFolder(bench, async (dir) => {
    await fillStore(bench, dir, { waiting: scaled(bench, TASKS), scheduled: 0, finished: 0 });
    for (let round = 1; round <= bench.options.rounds; round++) {
      const first = await start(bench, dir);
      const { url, apiKey } = first.access;
      const writes = runWrk(bench, { script: 'create.lua', url, apiKey, path: '/api/v1/tasks', seconds: 1 });
      await Promise.race([writes, sleep(KILLED_AFTER_MS)]);
      for (const pid of first.pids().toReversed()) process.kill(pid, 'SIGKILL');
      // Its requests fail, as they must.
      await writes.catch(() => {});
      const second = await start(bench, dir);
      bench.add(system.id, 'I', {
        ready_ms: first.readyAfterMs,
        ready_after_kill_ms: second.readyAfterMs,
        peak_rss_mib: peakRssMib(second.pids()),
      });
      await second.stop();
    }
  });
}

function start(bench: Bench, dir: string): Promise<OurServer> {
  return startOurs({ dir, prefix: corePrefix(bench, 'server'), fromSource: bench.options.fromSource });
}

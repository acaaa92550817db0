import { corePrefix, scaled, withFolder, type Bench } from '../bench.ts';
import { startLoad } from '../load/start-load.ts';
import { places } from '../places.ts';
import { runWrk, withBareHttp } from './wrk.ts';

/** L: what no design on this machine can pass. */
export async function measureLimits(bench: Bench): Promise<void> {
  await withFolder(bench, async (dir) => {
    const args = [places.bareSqlite, dir, String(bench.options.scale)];
    const load = startLoad({ command: [...corePrefix(bench, 'server'), process.execPath, ...args], limitMs: 120_000 });
    bench.add('better-sqlite3', 'L', await load.next());
    await load.ended;
  });
  await measureBareHttp(bench, 'L');
}

export async function measureBareHttp(bench: Bench, name: string): Promise<void> {
  await withBareHttp(bench, async (url) => {
    bench.add(
      'node:http',
      name,
      await runWrk(bench, { script: 'create.lua', url, path: '/tasks', seconds: scaled(bench, 8, 2) }),
    );
  });
}

import { corePrefix, scaled, withFolder, type Bench } from '../bench.ts';
import { startLoad } from '../load/start-load.ts';
import { places } from '../places.ts';
import type { Values } from '../results.ts';
import { runWrk, withBareHttp } from './wrk.ts';

/** L: what no design on this machine can pass. */
export async function measureLimits(bench: Bench): Promise<void> {
  await withFolder(bench, async (dir) => {
    const args = [places.bareSqlite, dir, String(bench.options.scale)];
    const load = startLoad({ command: [...corePrefix(bench, 'server'), process.execPath, ...args], limitMs: 120_000 });
    bench.add('better-sqlite3', 'L', await load.next());
    await load.ended;
  });
  await withBareHttp(bench, async (url) => {
    bench.add('node:http', 'L', { ...(await loadBareHttp(bench, url)), ...(await paceHttp(bench, url)) });
  });
}

export async function measureBareHttp(bench: Bench, name: string): Promise<void> {
  await withBareHttp(bench, async (url) => bench.add('node:http', name, await loadBareHttp(bench, url)));
}

function loadBareHttp(bench: Bench, url: string): Promise<Values> {
  return runWrk(bench, { script: 'create.lua', url, path: '/tasks', seconds: scaled(bench, 8, 2) });
}

/** What waking up two processes costs: the pace of D, one answer and nothing stored. */
async function paceHttp(bench: Bench, url: string): Promise<Values> {
  const command = [...corePrefix(bench, 'load'), process.execPath, places.pacedHttp, url];
  const load = startLoad({ command, limitMs: 60_000 });
  const values = await load.next();
  await load.ended;
  return values;
}

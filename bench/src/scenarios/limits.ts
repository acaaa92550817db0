import { join } from 'node:path';
import { corePrefix, scaled, withFolder, type Bench } from '../bench.ts';
import { startLoad } from '../load/start-load.ts';
import { places } from '../places.ts';
import { cpuSeconds } from '../processes.ts';
import type { Values } from '../results.ts';
import { runWrk, withBareHttp, type BareHttp } from './wrk.ts';

/** L: what no design on this machine can pass. */
export async function measureLimits(bench: Bench): Promise<void> {
  await withFolder(bench, async (dir) => {
    const args = [places.bareSqlite, dir, String(bench.options.scale)];
    const load = startLoad({ command: [...corePrefix(bench, 'server'), process.execPath, ...args], limitMs: 120_000 });
    bench.add('better-sqlite3', 'L', await load.next());
    await load.ended;
  });
  await withBareHttp(bench, async (bare) => {
    bench.add('node:http', 'L', { ...(await loadBareHttp(bench, bare.url)), ...(await paceBareHttp(bench, bare)) });
  });
  await withFolder(bench, async (dir) => {
    const measure = async (bare: BareHttp) => bench.add(BARE_STORE, 'L', await paceBareHttp(bench, bare));
    await withBareHttp(bench, measure, [join(dir, 'bare.db')]);
  });
}

/** node:http that answers once a row is on the disk: what a durable server in Node cannot do without. */
export const BARE_STORE = 'node:http with better-sqlite3';

export async function measureBareHttp(bench: Bench, name: string): Promise<void> {
  await withBareHttp(bench, async ({ url }) => bench.add('node:http', name, await loadBareHttp(bench, url)));
}

function loadBareHttp(bench: Bench, url: string): Promise<Values> {
  return runWrk(bench, { script: 'create.lua', url, path: '/tasks', seconds: scaled(bench, 8, 2) });
}

/** What waking up costs: one answer at the pace of D, and the processor time at 100 requests a second. */
async function paceBareHttp(bench: Bench, bare: BareHttp): Promise<Values> {
  const { p50_ms = NaN, p99_ms = NaN } = await paceHttp(bench, bare, 20);
  const { cpu_percent = NaN } = await paceHttp(bench, bare, 10);
  return { paced_p50_ms: p50_ms, paced_p99_ms: p99_ms, cpu_percent_at_100: cpu_percent };
}

async function paceHttp(bench: Bench, { url, pids }: BareHttp, everyMs: number): Promise<Values> {
  const command = [...corePrefix(bench, 'load'), process.execPath, places.pacedHttp, url, String(everyMs)];
  const load = startLoad({ command, limitMs: 60_000 });
  await load.next();
  const before = cpuSeconds(pids());
  const startedAt = performance.now();
  const values = await load.next();
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu_percent = ((cpuSeconds(pids()) - before) / seconds) * 100;
  await load.ended;
  return { ...values, cpu_percent };
}

import { createInterface } from 'node:readline';
import { corePrefix, type Bench } from '../bench.ts';
import { aPayload } from '../load/queue.ts';
import { startLoad } from '../load/start-load.ts';
import { places } from '../places.ts';
import { endTree, launch, treeOf } from '../processes.ts';
import type { Values } from '../results.ts';

export interface WrkRun {
  readonly script: 'create.lua' | 'life-cycle.lua' | 'trpc-batch.lua';
  readonly url: string;
  readonly apiKey?: string;
  readonly path?: string;
  readonly seconds: number;
}

const WARM_UP_SECONDS = 2;
const CONNECTIONS = 64;

/** Load of wrk with 64 connections, after a warm-up. @throws when any request failed. */
export async function runWrk(bench: Bench, run: WrkRun): Promise<Values> {
  await runOnce(bench, { ...run, seconds: WARM_UP_SECONDS });
  const { requests = 0, seconds = NaN, errors = 0, ...values } = await runOnce(bench, run);
  if (errors > 0) throw new Error(`${errors} of ${requests} requests failed`);
  return { per_second: requests / seconds, ...values };
}

async function runOnce(bench: Bench, { script, url, apiKey = '-', path = '/', seconds }: WrkRun): Promise<Values> {
  const { work_directory, prompt, priority } = aPayload(1);
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '--timeout', '10s', '-s', script, url];
  const load = startLoad({
    command: [...corePrefix(bench, 'load'), 'wrk', ...args],
    limitMs: (seconds + 20) * 1000,
    cwd: places.wrk,
    env: {
      ...process.env,
      BENCH_KEY: apiKey,
      BENCH_PATH: path,
      BENCH_BODY: JSON.stringify({ work_directory, prompt, metadata: { priority } }),
    },
  });
  const result = await load.next();
  await load.ended;
  return result;
}

export interface BareHttp {
  readonly url: string;
  readonly pids: () => number[];
}

/** Runs `work` with a bare node:http server. */
export async function withBareHttp<T>(
  bench: Bench,
  work: (bare: BareHttp) => Promise<T>,
  args: readonly string[] = [],
): Promise<T> {
  const child = launch([...corePrefix(bench, 'server'), process.execPath, places.bareHttp, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    if (!child.stdout) throw new Error('the bare server has no output');
    const port = await new Promise<string>((resolve, reject) => {
      if (child.stdout) createInterface({ input: child.stdout }).once('line', resolve);
      child.once('exit', () => reject(new Error('the bare server ended')));
    });
    return await work({ url: `http://127.0.0.1:${port}`, pids: () => treeOf(child.pid) });
  } finally {
    await endTree(child, 'SIGTERM');
  }
}

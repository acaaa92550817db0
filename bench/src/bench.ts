import { availableParallelism } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startLoad, type Load } from './load/start-load.ts';
import type { LoadAction, LoadResult } from './load/main.ts';
import type { Options } from './options.ts';
import { places } from './places.ts';
import { peakRssMib, pssMib } from './processes.ts';
import type { Values } from './results.ts';
import { startOurs } from './servers/ours.ts';
import { startPeer } from './servers/peers.ts';
import type { Server } from './servers/server.ts';
import type { System } from './systems.ts';

export type Add = (system: string, name: string, values: Values) => void;

/** What a scenario works with. */
export interface Bench {
  readonly options: Options;
  readonly add: Add;
}

export interface StoreOptions {
  /** Commands to run the server under, such as strace; without a server, the load process. */
  readonly prefix?: readonly string[];
  readonly nodeFlags?: readonly string[];
  readonly loadFlags?: readonly string[];
  readonly isUnsafe?: boolean;
}

/** A system that runs on a store of its own. */
export interface Store {
  readonly server: Server;
  /** Runs one action in a load process and answers its result. */
  load(action: LoadAction, options?: LoadOptions): Promise<LoadResult>;
  startLoad(action: LoadAction, options?: LoadOptions): Load;
}

export interface LoadOptions {
  readonly limitMs?: number;
  /** A row that shares the store but sets up its client in another way. */
  readonly as?: System;
}

const LOAD_LIMIT_MS = 120_000;

/** Runs `work` on a fresh store, and leaves nothing behind. */
export function withStore<T>(
  bench: Bench,
  system: System,
  work: (store: Store) => Promise<T>,
  options: StoreOptions = {},
): Promise<T> {
  return withFolder(bench, (dir) => withServer(bench, { system, dir, ...options }, work));
}

export async function withFolder<T>(bench: Bench, work: (dir: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(bench.options.dir, 'torc-bench-'));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  process.once('exit', remove);
  try {
    return await work(dir);
  } finally {
    remove();
    process.off('exit', remove);
  }
}

/** Runs `work` on the store of a folder. */
export async function withServer<T>(
  bench: Bench,
  on: StoreOptions & { system: System; dir: string },
  work: (store: Store) => Promise<T>,
): Promise<T> {
  const server = await startServer(bench, on);
  const startLoadOf: Store['startLoad'] = (action, { limitMs = LOAD_LIMIT_MS, as: system = on.system } = {}) => {
    const prefix = system.server ? corePrefix(bench, 'load') : (on.prefix ?? []);
    const flags = [...sourceFlags(bench), ...(on.loadFlags ?? [])];
    const runtime = system.runtime === 'bun' ? [places.bun] : [process.execPath, ...flags];
    const config = { adapter: adapterUrl(system), settings: { ...system.settings, ...server.access }, work: action };
    return startLoad({ command: [...prefix, ...runtime, places.load, JSON.stringify(config)], limitMs });
  };
  try {
    return await work({
      server,
      startLoad: startLoadOf,
      async load(action, options) {
        const load = startLoadOf(action, options);
        const result = await load.next();
        await load.ended;
        return result;
      },
    });
  } finally {
    await server.stop();
  }
}

function startServer(bench: Bench, on: StoreOptions & { system: System; dir: string }): Promise<Server> {
  const { system, dir, prefix = [], nodeFlags = [], isUnsafe = false } = on;
  if (!system.server) return Promise.resolve({ access: { dir }, pids: () => [], stop: () => Promise.resolve() });
  const pinned = [...corePrefix(bench, 'server'), ...prefix];
  if (system.server === 'ours')
    return startOurs({ dir, prefix: pinned, nodeFlags, fromSource: bench.options.fromSource });
  return startPeer[system.server]({ dir, prefix: pinned, isUnsafe });
}

/** With what a result is recorded: how much memory the server has taken, or the load process that holds the store. */
export function withMemory({ server }: Store, { load_peak_rss_mib = NaN, ...values }: LoadResult): Values {
  const pids = server.pids();
  if (pids.length === 0) return { ...values, peak_rss_mib: load_peak_rss_mib };
  return { ...values, peak_rss_mib: peakRssMib(pids), pss_mib: pssMib(pids) };
}

/** The server has core 0 for itself, the load core 1. What runs in one process is left to the system. */
export function corePrefix(bench: Bench, role: 'server' | 'load'): readonly string[] {
  if (!bench.options.isPinned || availableParallelism() < 2) return [];
  return ['taskset', '-c', role === 'server' ? '0' : '1'];
}

export function sourceFlags(bench: Bench): readonly string[] {
  return bench.options.fromSource ? ['--conditions=to-source'] : [];
}

/** A number of tasks, or seconds, at the scale of this run. */
export function scaled(bench: Bench, amount: number, least = 1): number {
  return Math.max(least, Math.round(amount * bench.options.scale));
}

function adapterUrl({ adapter }: System): string {
  if (adapter === 'ours') return new URL('./load/ours.ts', import.meta.url).href;
  return pathToFileURL(join(places.peers, 'adapters', `${adapter}.mjs`)).href;
}

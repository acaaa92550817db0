import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { scaled, withFolder, withStore, type Bench, type Store } from '../bench.ts';
import type { Options } from '../options.ts';
import { places } from '../places.ts';
import { ensurePrerequisites } from '../prerequisites.ts';
import { diskBytes } from '../processes.ts';
import type { Values } from '../results.ts';
import { accessOf, HTTP_CASES, loadHttp, type HttpCaseName } from '../scenarios/http.ts';
import { pickUp } from '../scenarios/pickup.ts';
import { SYSTEMS } from '../systems.ts';
import { formatProfile, type CpuProfile } from './cpu-profile.ts';

type Work = (bench: Bench, store: Store) => Promise<Values>;

const CASES: Readonly<Record<string, Work>> = {
  ...Object.fromEntries(
    Object.keys(HTTP_CASES).map((name): [string, Work] => [
      `G-${name}`,
      (bench, store) => loadHttp(bench, store, name as HttpCaseName),
    ]),
  ),
  A: (bench, store) =>
    store.load({ action: 'enqueue', count: scaled(bench, 60_000), maxMs: 3000, callers: 64, batch: 1 }),
  B: (bench, store) =>
    store.load({ action: 'enqueue', count: scaled(bench, 150_000, 500), maxMs: 3000, callers: 1, batch: 500 }),
  async C(bench, store) {
    const count = scaled(bench, 60_000);
    await store.load({ action: 'fill', count });
    return store.load({ action: 'drain', count, maxMs: 20_000, isWhole: true });
  },
  D: pickUp,
};

/** Runs cases with the server, and the load process where that is Node, under V8's sampling profiler. */
export async function profileCases(options: Options, names: readonly string[]): Promise<void> {
  const system = SYSTEMS.find(({ id }) => id === (options.systems.includes('ours') ? 'ours' : options.systems[0]));
  if (!system) return;
  ensurePrerequisites(options, [system]);
  // From its sources: a bundle does not say which package a function is of.
  const bench: Bench = { options: { ...options, fromSource: true }, add() {} };
  for (const name of names) {
    const work = CASES[name];
    if (!work) throw new Error(`there is no case ${name} to profile; there are ${Object.keys(CASES).join(', ')}`);
    await withFolder(bench, async (dir) => {
      const flagsFor = (role: string) => ['--cpu-prof', `--cpu-prof-dir=${join(dir, role)}`];
      const flags = { nodeFlags: flagsFor('server'), loadFlags: flagsFor('load') };
      const values = await withStore(
        bench,
        system,
        async (store) => ({ ...(await work(bench, store)), ...(await commitMeans(store)) }),
        flags,
      );
      console.log(`\n# ${name}: ${JSON.stringify(values)} (slower than without the profiler)`);
      for (const role of ['server', 'load']) report(join(dir, role), `${name} ${role}`);
    });
  }
}

/** Prints the profiles of the last process of a role, one a thread, and keeps them for flame graphs (DevTools, speedscope). */
function report(dir: string, title: string): void {
  if (!existsSync(dir)) return;
  mkdirSync(places.profiles, { recursive: true });
  // CPU.<date>.<time>.<pid>.<thread>.<sequence>.cpuprofile
  const files = readdirSync(dir).toSorted();
  const pidOf = (file: string | undefined) => file?.split('.')[3];
  for (const [index, file] of files.filter((one) => pidOf(one) === pidOf(files.at(-1))).entries()) {
    const kept = join(places.profiles, `${title.replaceAll(' ', '-')}${index === 0 ? '' : `-${index}`}.cpuprofile`);
    cpSync(join(dir, file), kept);
    // Written by V8.
    const profile = JSON.parse(readFileSync(kept, 'utf8')) as CpuProfile;
    console.log(`\n## ${title} (${relative(process.cwd(), kept)})\n${formatProfile(profile)}`);
  }
}

/** Calls, milliseconds and bytes of the mean commit: what the server counts, and what the system says it wrote. */
async function commitMeans(store: Store): Promise<Values> {
  const text = await fetch(`${accessOf(store).url}/metrics`).then((response) => response.text());
  const total = (name: string) => Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1] ?? NaN);
  const mean = (name: string) => total(`${name}_sum`) / total(`${name}_count`);
  const commits = total('commit_seconds_count');
  return {
    commits,
    calls_per_commit: mean('commit_batch_size'),
    ms_per_commit: mean('commit_seconds') * 1000,
    disk_kib_per_commit: diskBytes(store.server.pids()) / 1024 / commits,
  };
}

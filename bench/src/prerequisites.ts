import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Options } from './options.ts';
import { places } from './places.ts';
import { postgresBin } from './servers/peers.ts';
import type { ServerKind, System } from './systems.ts';

interface Package {
  readonly name: string;
  readonly isThere: () => boolean;
}

const aCommand = (command: string, name = command): Package => ({ name, isThere: () => hasCommand(command) });

const SERVER_PACKAGES: Readonly<Record<ServerKind, readonly Package[]>> = {
  ours: [],
  bunqueue: [],
  redis: [aCommand('redis-server')],
  beanstalkd: [aCommand('beanstalkd')],
  postgres: [{ name: 'postgresql', isThere: () => postgresBin() !== '' }, aCommand('psql', 'postgresql-client')],
};

/** Brings what the run needs onto the machine. @throws when it cannot. */
export function ensurePrerequisites(options: Options, systems: readonly System[]): void {
  refuseMemoryDisk(options.dir);
  const ours = systems.some(({ server }) => server === 'ours');
  const uses = (...letters: string[]) => options.scenarios.some((scenario) => letters.includes(scenario));
  const needsWrk = uses('L') || (ours && uses('G', 'I')) || options.profile !== null;
  const packages = [
    ...systems.flatMap(({ server }) => (server ? SERVER_PACKAGES[server] : [])),
    ...(needsWrk ? [aCommand('wrk')] : []),
    ...(uses('S') ? [aCommand('strace')] : []),
    ...(options.isPinned ? [aCommand('taskset', 'util-linux')] : []),
  ];
  installPackages([...new Set(packages.filter(({ isThere }) => !isThere()).map(({ name }) => name))]);
  if (systems.some(({ adapter }) => adapter !== 'ours')) installPeers();
}

const TMPFS_MAGIC = 0x01021994;

/** There a flush costs nothing, and every figure would lie. */
function refuseMemoryDisk(dir: string): void {
  if (statfsSync(dir).type === TMPFS_MAGIC) throw new Error(`${dir} is in memory; name a folder on a disk with --dir`);
}

function installPackages(names: readonly string[]): void {
  if (names.length === 0) return;
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...names];
  if (process.getuid?.() !== 0 || !hasCommand('apt-get')) throw new Error(`install first: ${command.join(' ')}`);
  say(command.join(' '));
  withoutServices(() => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    execFileSync('apt-get', ['update', '-q'], { stdio: 'ignore' });
    execFileSync('apt-get', command.slice(1), { env, stdio: ['ignore', 'ignore', 'inherit'] });
  });
}

const POLICY = '/usr/sbin/policy-rc.d';

/** Debian starts what it installs unless this file says no; the benchmark starts its own. */
function withoutServices(work: () => void): void {
  const isOurs = !existsSync(POLICY);
  if (isOurs) {
    writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
    chmodSync(POLICY, 0o755);
  }
  try {
    work();
  } finally {
    if (isOurs) rmSync(POLICY);
  }
}

/** Their versions are pinned by a lockfile of their own. */
function installPeers(): void {
  const stamp = join(places.peers, 'node_modules', '.bench-stamp');
  const state = createHash('sha256')
    .update(readFileSync(join(places.peers, 'pnpm-lock.yaml')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  say('installing the peers');
  const { packageManager } = JSON.parse(readFileSync(join(places.root, 'package.json'), 'utf8')) as {
    packageManager: string;
  };
  const { status, stdout, stderr } = spawnSync('npx', ['--yes', packageManager, 'install', '--frozen-lockfile'], {
    cwd: places.peers,
    env: { ...process.env, CI: 'true' },
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the peers could not be installed: ${`${stdout}${stderr}`.slice(-1000)}`);
  writeFileSync(stamp, state);
}

function hasCommand(name: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' }).status === 0;
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

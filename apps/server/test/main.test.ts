import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';

const MAIN = join(import.meta.dirname, '../src/main.ts');
const TLS = join(import.meta.dirname, 'tls');
const ADMIN_KEY = 'test-key-of-16-characters-or-more';
const headers = { authorization: `Bearer ${ADMIN_KEY}` };

type Env = Record<string, string>;

function aFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'torc-main-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const envOf = (folder: string, env: Env = {}): Env => ({
  PATH: process.env['PATH'] ?? '',
  APP_ENV: 'test',
  APP_SERVER_HOST: '127.0.0.1',
  APP_SERVER_PORT: '0',
  APP_DATABASE_URL: `sqlite://${folder}/data/tasks.db`,
  ...env,
});
const NODE = ['--conditions=to-source'];

/** Runs to its end. */
function runMain(args: string[], folder: string, env?: Env, nodeArgs: string[] = []) {
  const options = { cwd: folder, env: envOf(folder, env), encoding: 'utf8', timeout: 20_000 } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...NODE, ...nodeArgs, MAIN, ...args], options);
  return { status, stdout, stderr };
}

/** Runs until it listens. */
async function startMain(folder: string, env?: Env) {
  const child = spawn(process.execPath, [...NODE, MAIN], { cwd: folder, env: envOf(folder, env) });
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  const url = await new Promise<string>((resolve, reject) => {
    const onText = (chunk: Buffer) => {
      output += String(chunk);
      const [, found] = /API +(\S+)\/api\/v1/.exec(output) ?? [];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on('data', onText);
    child.stderr.on('data', onText);
    child.once('exit', () => reject(new Error(output)));
  });
  return { child, url, output: () => output };
}

async function exitOf(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
  if (child.exitCode !== null) return child.exitCode;
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return code ?? signal;
}

describe('the first start', () => {
  test('makes one admin key, shows it once and keeps it in a file for its owner alone', async () => {
    const folder = aFolder();
    const first = await startMain(folder);
    const [key = ''] = /tok_[\w-]{43}/.exec(first.output()) ?? [];
    const file = join(folder, 'data/admin.key');
    expect(readFileSync(file, 'utf8')).toBe(`${key}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const answer = await fetch(`${first.url}/api/v1/statistics`, { headers: { authorization: `Bearer ${key}` } });
    expect(answer.status).toBe(200);
    first.child.kill();
    await exitOf(first.child);

    const second = await startMain(folder);
    expect(second.output()).not.toContain('tok_');
    expect((await fetch(`${second.url}/api/v1/statistics`, { headers: { 'x-api-key': key } })).status).toBe(200);
  });

  test('makes no key when one is configured, or when nobody needs one', async () => {
    for (const env of [{ APP_SECURITY_ADMIN_KEY: ADMIN_KEY }, { APP_SECURITY_ENABLE_AUTH: 'false' }]) {
      const folder = aFolder();
      const { url, output } = await startMain(folder, env);
      expect(output()).not.toMatch(new RegExp(`tok_|${ADMIN_KEY}`));
      expect(existsSync(join(folder, 'data/admin.key'))).toBe(false);
      expect((await fetch(`${url}/api/v1/statistics`, { headers })).status).toBe(200);
    }
  });
});

// How it ends, and what the database may hold against it: see `tests/` at the root.
describe('what keeps the server from starting is told in one line, with exit code 1', () => {
  const expectOneLine = ({ status, stderr }: { status: number | null; stderr: string }, message: RegExp) => {
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(status).toBe(1);
  };

  test('a bad setting', () => {
    expectOneLine(runMain([], aFolder(), { APP_SERVER_PORT: 'eighty' }), /server\.port = "eighty" .*APP_SERVER_PORT/);
  });

  test('an unknown option', () => {
    expectOneLine(runMain(['--prot'], aFolder()), /--prot/);
  });

  test('a certificate that is missing', () => {
    const env = {
      APP_SERVER_TLS_CERT: 'no-cert.pem',
      APP_SERVER_TLS_KEY: 'no-key.pem',
      APP_SECURITY_ADMIN_KEY: ADMIN_KEY,
    };
    expectOneLine(runMain([], aFolder(), env), /no-cert\.pem cannot be opened/);
  });

  test('a Node that is too old, before anything else is loaded', () => {
    const old = "Object.defineProperty(process, 'versions', { value: { ...process.versions, napi: '9' } })";
    expectOneLine(
      runMain([], aFolder(), {}, ['--import', `data:text/javascript,${encodeURIComponent(old)}`]),
      /needs Node 24/,
    );
  });
});

describe('the command line', () => {
  test('--version, --help and --print-config show and exit', () => {
    const folder = aFolder();
    expect(runMain(['--version'], folder).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(runMain(['--help'], folder).stdout).toContain('--migrate-only');
    const { status, stdout } = runMain(['--print-config'], folder, { APP_SECURITY_ADMIN_KEY: ADMIN_KEY });
    expect(status).toBe(0);
    expect(stdout).toContain('server.port = 0  # environment variable APP_SERVER_PORT');
    expect(stdout).not.toContain(ADMIN_KEY);
    expect(existsSync(join(folder, 'data'))).toBe(false);
  });

  test('--migrate-only makes the database and exits', () => {
    const folder = aFolder();
    expect(runMain(['--migrate-only'], folder)).toMatchObject({ status: 0, stderr: '' });
    expect(existsSync(join(folder, 'data/tasks.db'))).toBe(true);
  });
});

test('a second signal ends at once', async () => {
  const { child, url } = await startMain(aFolder(), { APP_SECURITY_ADMIN_KEY: ADMIN_KEY });
  await sendHalfARequest(url);
  child.kill('SIGTERM');
  await expect
    .poll(() =>
      fetch(`${url}/health/live`).then(
        () => true,
        () => false,
      ),
    )
    .toBe(false);
  child.kill('SIGTERM');
  expect(await exitOf(child)).toBe(143);
});

test('with a certificate the server speaks HTTPS', async () => {
  const cert = join(TLS, 'cert.pem');
  const folder = aFolder();
  const { url, child } = await startMain(folder, {
    APP_SECURITY_ADMIN_KEY: ADMIN_KEY,
    APP_SERVER_TLS_CERT: cert,
    APP_SERVER_TLS_KEY: join(TLS, 'key.pem'),
  });
  expect(url).toMatch(/^https:/);
  const asked = request(`${url}/api/v1/statistics`, { ca: readFileSync(cert), headers }).end();
  const [answer] = (await once(asked, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
  expect(answer.statusCode).toBe(200);
  expect(JSON.parse(await text(answer))).toMatchObject({ success: true });
  child.kill();
  expect(await exitOf(child)).toBe(0);
});

/** Announces a body that never comes. */
async function sendHalfARequest(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  onTestFinished(() => void socket.destroy());
  const head = [
    'POST /api/v1/tasks HTTP/1.1',
    'host: a',
    `x-api-key: ${ADMIN_KEY}`,
    'content-type: application/json',
    'content-length: 100',
    'expect: 100-continue',
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  // The server asks for the body: so it has the request.
  await once(socket, 'data');
}

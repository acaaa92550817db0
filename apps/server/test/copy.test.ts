import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCore } from '@task-orchestrator/core';
import { expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../src/config/load-config.ts';
import { toCoreOptions } from '../src/core-options.ts';

const MAIN = join(import.meta.dirname, '../src/main.ts');

function aFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'torc-copy-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function runMain(folder: string, ...args: string[]) {
  const env = { PATH: process.env['PATH'], APP_ENV: 'test' };
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--conditions=to-source', MAIN, ...args], {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: 20_000,
  });
  return { status, stdout, stderr };
}

async function openAt(url: string) {
  const { config } = loadConfig({ configDir: 'none', env: { APP_DATABASE_URL: url } });
  const core = await openCore({ ...toCoreOptions(config), background: false });
  onTestFinished(() => core.close());
  return core;
}

test('--copy moves a database, and says what it has done', { timeout: 30_000 }, async () => {
  const folder = aFolder();
  const [from, to] = [`sqlite://${folder}/from.db`, `sqlite://${folder}/to.db`];
  const origin = await openAt(from);
  await origin.keys.insert({ name: 'a key', roles: ['worker'], path_prefixes: ['/srv'], hash: 'its hash' });
  await origin.close();
  const done = runMain(folder, '--copy', '--from', from, '--to', to);
  expect(done).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^Copied and verified: 1 api_keys, .*0 tasks, /),
  });
  expect(done.stderr).toContain('copying api_keys: 1\n');
  expect(await (await openAt(to)).keys.findByHash('its hash')).toMatchObject({
    name: 'a key',
    roles: ['worker'],
    path_prefixes: ['/srv'],
  });
});

test.each([
  ['without --to', ['--from', 'sqlite://./a.db'], /^--copy needs --from <database URL> and --to <database URL>\n$/],
  ['from nowhere', ['--from', 'sqlite://./a.db', '--to', 'sqlite://./b.db'], /^there is no database .*a\.db\n$/],
  [
    'to what is no database',
    ['--from', 'sqlite://./a.db', '--to', 'mysql://u:secret@h/b'],
    /^--to "mysql:\/\/u:\*\*\*@h\/b" is none of /,
  ],
])('--copy %s is refused in one line', { timeout: 30_000 }, (_name, args, message) => {
  const folder = aFolder();
  const refused = runMain(folder, '--copy', ...args);
  expect(refused.stderr).toMatch(message);
  expect(refused.status).toBe(1);
  expect(existsSync(join(folder, 'a.db'))).toBe(false);
});

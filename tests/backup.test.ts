import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Task } from '@task-orchestrator/client';
import { expect, test } from 'vitest';
import { readTasks } from './support/all-tasks.ts';
import { aTemporaryFolder, runMain, ServerProcess } from './support/server-process.ts';
import { canMount, SmallDisk } from './support/small-disk.ts';
import { until } from './support/until.ts';

const DONE = /^(Backed up|Restored) and verified: (\d+) tasks, \d+ events/;

test('a backup of a busy server misses nothing that was acknowledged before it began, and can be served', async () => {
  const server = await ServerProcess.start();
  const load = createWithoutPause(server, 8);
  await until('load', () => load.acknowledged.length > 500);
  const before = [...load.acknowledged];
  const file = join(await aTemporaryFolder(), 'backup.db');
  const backup = await runMain(['backup', file], envOf(server));
  expect(backup).toMatchObject({ exitCode: 0, errors: '', output: expect.stringMatching(DONE) });
  await until('load after it', () => load.acknowledged.length > before.length + 100);
  await load.stop();
  expect(await server.stop()).toMatchObject({ exitCode: 0 });
  // One file, for its owner alone.
  expect((await stat(file)).mode & 0o777).toBe(0o600);

  const restored = await aServerOn(file);
  const tasks = await readTasks(restored.client());
  expect(before.filter((id) => !tasks.has(id))).toEqual([]);
  expect(tasks.size).toBe(Number(DONE.exec(backup.output)?.[2]));
  const { tasks: taken } = await restored.client().tasks.acquire({ work_path: '/load/0', worker_id: 'w' });
  expect(taken).toHaveLength(1);
});

test('a restore never touches the database of a running server, and one that is there only when told to', async () => {
  const server = await ServerProcess.start();
  await server.client().tasks.create({ work_directory: '/old', prompt: 'in the backup' });
  const file = join(await aTemporaryFolder(), 'backup.db');
  await runMain(['backup', file], envOf(server));
  await server.client().tasks.create({ work_directory: '/new', prompt: 'after the backup' });

  const inUse = await runMain(['restore', file, '--replace'], envOf(server));
  expect(inUse).toMatchObject({ exitCode: 1, errors: `database ${server.databasePath} is in use by another server\n` });
  // As a crash leaves it: what is newest is in the write-ahead log.
  await server.kill();
  const inTheWay = await runMain(['restore', file], envOf(server));
  expect(inTheWay).toMatchObject({ exitCode: 1, errors: expect.stringContaining('exists: --replace moves it aside') });

  const done = await runMain(['restore', file, '--replace'], envOf(server));
  expect(done).toMatchObject({ exitCode: 0, errors: '', output: expect.stringMatching(DONE) });
  await server.start();
  expect([...(await readTasks(server.client())).values()].map(({ prompt }) => prompt)).toEqual(['in the backup']);
  await server.stop();

  const [, aside = ''] = /what was there is now (\S+)/.exec(done.output) ?? [];
  const old = await aServerOn(aside);
  expect((await readTasks(old.client())).size).toBe(2);
});

test('without the write-ahead log a running server is not backed up, since it would be held up', async () => {
  const server = await ServerProcess.start({ APP_DATABASE_ENABLE_WAL_MODE: 'false' });
  const file = join(await aTemporaryFolder(), 'backup.db');
  const { exitCode, errors } = await runMain(['backup', file], envOf(server));
  expect([exitCode, errors]).toEqual([1, expect.stringMatching(/in use by another server.*end it first\n$/)]);
  await server.stop();
  expect(await runMain(['backup', file], envOf(server))).toMatchObject({ exitCode: 0, errors: '' });
});

test.runIf(canMount)('a backup that does not fit leaves nothing behind', async () => {
  const server = await ServerProcess.start();
  await server.client().tasks.create({ work_directory: '/large', prompt: 'x'.repeat(200_000) });
  const disk = SmallDisk.mount(2 ** 17);
  const { exitCode, errors } = await runMain(['backup', join(disk.folder, 'backup.db')], envOf(server));
  expect([exitCode, errors]).toEqual([1, expect.stringMatching(/backup\.db\.\w+\.partial: .*full\n$/)]);
  expect((await readdir(disk.folder)).filter((name) => name !== 'ballast')).toEqual([]);
});

test('what cannot be backed up or restored is refused in one line, and changes nothing', async () => {
  const folder = await aTemporaryFolder();
  const path = join(folder, 'tasks.db');
  const env = { APP_DATABASE_URL: `sqlite://${path}` };
  const file = join(folder, 'backup.db');
  const refusal = async (args: string[], more = {}) => {
    const { exitCode, output, errors } = await runMain(args, { ...env, ...more });
    expect([exitCode, output, errors.split('\n').length]).toEqual([1, '', 2]);
    return errors.trimEnd();
  };
  expect(await refusal(['backup', file])).toBe(`there is no database ${path}`);
  expect(await refusal(['restore', file])).toBe(`there is no backup ${file}`);
  expect(await refusal(['backup'])).toBe('backup needs the name of one file: backup <file>');
  expect(await refusal(['restore', 'a', 'b'])).toBe('restore needs the name of one file: restore <file>');
  expect(await refusal(['restore', file, '--force'])).toContain("Unknown option '--force'");
  expect(await refusal(['backup', file], { APP_DATABASE_URL: 'postgres://u:secret@h/d' })).toMatch(
    /^database\.url postgres:\/\/u:\*\*\*@h\/d is PostgreSQL/,
  );
  expect(await refusal(['backup', file], { APP_DATABASE_URL: 'sqlite::memory:' })).toMatch(/lives in memory/);

  await runMain(['--migrate-only'], env);
  expect(await refusal(['backup', path])).toBe(`${path} exists: a backup overwrites nothing, choose another name`);
  expect(await refusal(['backup', join(folder, 'none', 'b.db')])).toContain('there is no folder');
  await runMain(['backup', file], env);
  await rename(path, `${path}.gone`);

  const bytes = await readFile(file);
  await writeFile(file, bytes.fill(0xff, 20_000, 24_000));
  expect(await refusal(['restore', file, '--replace'])).toContain(`${file} is damaged: `);
  await writeFile(file, 'a letter '.repeat(1000));
  expect(await refusal(['restore', file, '--replace'])).toContain(`${file}: file is not a database`);
  expect(await readdir(folder)).not.toContain('tasks.db');
});

function envOf({ databasePath }: ServerProcess): Record<string, string> {
  return { APP_DATABASE_URL: `sqlite://${databasePath}` };
}

/** A server on a database that `restore` has made of the file. */
async function aServerOn(file: string): Promise<ServerProcess> {
  const path = join(await aTemporaryFolder(), 'tasks.db');
  const env = { APP_DATABASE_URL: `sqlite://${path}` };
  expect(await runMain(['restore', file], env)).toMatchObject({ exitCode: 0, errors: '' });
  return ServerProcess.start(env);
}

/** So many callers, each with one task after the other. */
function createWithoutPause(server: ServerProcess, callers: number) {
  const acknowledged: string[] = [];
  let isStopped = false;
  const running = Array.from({ length: callers }, async (_, index) => {
    while (!isStopped) {
      const draft = { work_directory: `/load/${index}`, prompt: 'x'.repeat(2000) };
      const { status, body } = await server.request<Task>('POST', '/api/v1/tasks', draft);
      expect(status).toBe(200);
      acknowledged.push(body.data.task_id);
    }
  });
  return {
    acknowledged,
    async stop() {
      isStopped = true;
      await Promise.all(running);
    },
  };
}

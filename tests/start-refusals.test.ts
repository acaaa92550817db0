import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { aTemporaryFolder, runServer, ServerProcess } from './support/server-process.ts';

/** Runs a server that must end with exit code 1 and one line, and answers the line. */
async function readRefusal(env: Readonly<Record<string, string>>): Promise<string> {
  const { exitCode, output, errors } = await runServer({ APP_SERVER_PORT: '0', ...env });
  expect({ exitCode, output, lines: errors.split('\n').length - 1 }).toEqual({ exitCode: 1, output: '', lines: 1 });
  return errors.trimEnd();
}

test('a second server on the same database file is refused, and the first one does not notice', async () => {
  const server = await ServerProcess.start();
  const refusal = await readRefusal({ APP_DATABASE_URL: `sqlite://${server.databasePath}` });
  expect(refusal).toBe(`database ${server.databasePath} is in use by another server`);
  await server.client().tasks.create({ work_directory: '/still', prompt: 'works' });
  expect(await server.stop()).toMatchObject({ exitCode: 0 });
  await server.start();
  await expect(server.client().tasks.list({ work_directory: '/still' })).resolves.toMatchObject({ total: 1 });
});

test('a port that is taken is named, with the setting that changes it', async () => {
  const server = await ServerProcess.start();
  const folder = await aTemporaryFolder();
  const refusal = await readRefusal({
    APP_DATABASE_URL: `sqlite://${join(folder, 'tasks.db')}`,
    APP_SERVER_PORT: String(server.port),
  });
  expect(refusal).toContain(`Port ${server.port} on 127.0.0.1 is taken`);
  expect(refusal).toContain('APP_SERVER_PORT');
});

test('a data folder that cannot be written is named', async () => {
  const folder = await aTemporaryFolder();
  await writeFile(join(folder, 'a-file'), '');
  const below = join(folder, 'a-file', 'data');
  expect(await readRefusal({ APP_DATABASE_URL: `sqlite://${join(below, 'tasks.db')}` })).toContain(below);

  // The rights of a folder do not bind root.
  if (process.getuid?.() === 0) return;
  const locked = join(folder, 'locked');
  await mkdir(locked);
  await chmod(locked, 0o500);
  expect(await readRefusal({ APP_DATABASE_URL: `sqlite://${join(locked, 'tasks.db')}` })).toContain(locked);
});

test('a file that is no database is named', async () => {
  const path = join(await aTemporaryFolder(), 'tasks.db');
  await writeFile(
    path,
    'this is a letter and not a database, and it is long enough to be read as a page header\n'.repeat(20),
  );
  expect(await readRefusal({ APP_DATABASE_URL: `sqlite://${path}` })).toContain(`${path}: file is not a database`);
});

test('a database that newer code has migrated is left alone', async () => {
  const server = await ServerProcess.start();
  await server.stop();
  const database = new DatabaseSync(server.databasePath);
  database.exec("INSERT INTO schema_migrations (version, name, applied_at) VALUES (9999, '9999-of-tomorrow', 0)");
  database.close();
  const refusal = await readRefusal({ APP_DATABASE_URL: `sqlite://${server.databasePath}` });
  expect(refusal).toMatch(/schema version 9999, newer than/);
});

test('a bad setting is named with its value, its source and what is allowed', async () => {
  const folder = await aTemporaryFolder();
  const place = { APP_DATABASE_URL: `sqlite://${join(folder, 'tasks.db')}` };
  expect(await readRefusal({ ...place, APP_TASK_MAX_TASK_RETRY: '3' })).toContain('APP_TASK_MAX_TASK_RETRY');
  const refusal = await readRefusal({ ...place, APP_DATABASE_DURABILITY: 'sometimes' });
  for (const part of ['database.durability', 'sometimes', 'APP_DATABASE_DURABILITY', 'full', 'normal']) {
    expect(refusal).toContain(part);
  }
});

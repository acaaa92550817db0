import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { aTemporaryFolder, runMain, runServer, ServerProcess } from './support/server-process.ts';

const PROMPT = 'an unmistakable prompt';
const OUTPUT = 'an unmistakable output';
const LINE = 'an unmistakable line';

function aKey(): string {
  return randomBytes(32).toString('base64');
}

/** A task with a result and a log. */
async function work(server: ServerProcess): Promise<string> {
  const { tasks } = server.client();
  const { task_id } = await tasks.create({ work_directory: '/repo', prompt: PROMPT });
  const [task] = (await tasks.acquire({ work_path: '/repo', worker_id: 'w' })).tasks;
  const held = { task_id, lease_token: task!.lease_token };
  await tasks.appendLog({ ...held, entries: [{ text: LINE }] });
  await tasks.complete({ ...held, result: { output: OUTPUT }, original_prompt: PROMPT });
  return task_id;
}

async function expectWork(server: ServerProcess, task_id: string): Promise<void> {
  expect((await server.request('GET', `/api/v1/tasks/${task_id}`)).body.data).toMatchObject({
    prompt: PROMPT,
    result: { output: OUTPUT },
  });
  expect((await server.client().tasks.logs({ task_id })).entries).toMatchObject([{ text: LINE }]);
}

/** Which of the texts are in the files of a folder. */
async function findPlain(folder: string): Promise<string[]> {
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const contents = await Promise.all(
    files.filter((file) => file.isFile()).map((file) => readFile(join(file.parentPath, file.name), 'latin1')),
  );
  return [PROMPT, OUTPUT, LINE].filter((text) => contents.some((content) => content.includes(text)));
}

test('with a key nothing of prompts, results and logs is in the files of the server or in a backup, and it reads them', async () => {
  const env = { APP_DATABASE_ENCRYPTION_KEY: aKey() };
  const server = await ServerProcess.start(env);
  const task_id = await work(server);
  expect(await findPlain(server.folder)).toEqual([]);
  const folder = await aTemporaryFolder();
  const backup = join(folder, 'backup.db');
  // Neither a backup nor a restore needs the key.
  const place = { APP_DATABASE_URL: `sqlite://${server.databasePath}` };
  expect(await runMain(['backup', backup], place)).toMatchObject({ exitCode: 0 });
  await server.kill();
  expect(await findPlain(server.folder)).toEqual([]);
  expect(await runMain(['restore', backup, '--replace'], place)).toMatchObject({ exitCode: 0 });
  expect(await findPlain(folder)).toEqual([]);
  await server.start();
  await expectWork(server, task_id);
});

test('a key that is missing or another one keeps the server from starting, in one line', async () => {
  const key = aKey();
  const server = await ServerProcess.start({ APP_DATABASE_ENCRYPTION_KEY: key });
  await server.stop();
  const place = { APP_DATABASE_URL: `sqlite://${server.databasePath}` };
  expect(await runMain(['--migrate-only'], place)).toMatchObject({ exitCode: 0 });
  const missing = await runServer(place);
  const fact = 'the database has values that are encrypted under key [0-9a-f]{12}';
  expect([missing.exitCode, missing.output]).toEqual([1, '']);
  expect(missing.errors).toMatch(new RegExp(`^${fact}, and there is no database\\.encryption_key: set it\n$`));
  const other = await runServer({ ...place, APP_DATABASE_ENCRYPTION_KEY: aKey() });
  expect([other.exitCode, other.output]).toEqual([1, '']);
  expect(other.errors).toMatch(new RegExp(`^${fact}; given is [0-9a-f]{12}: set database\\.encryption_key .*\n$`));
});

test('--reencrypt brings what is there under the key and then under the next one, --decrypt makes it plain', async () => {
  const server = await ServerProcess.start();
  const task_id = await work(server);
  const place = { APP_DATABASE_URL: `sqlite://${server.databasePath}` };
  const [first, second] = [{ APP_DATABASE_ENCRYPTION_KEY: aKey() }, { APP_DATABASE_ENCRYPTION_KEY: aKey() }];
  const withPrevious = { ...second, APP_DATABASE_PREVIOUS_ENCRYPTION_KEYS: first.APP_DATABASE_ENCRYPTION_KEY };
  const inUse = await runMain(['--reencrypt'], { ...place, ...first });
  expect(inUse).toMatchObject({ exitCode: 1, errors: `database ${server.databasePath} is in use by another server\n` });
  await server.stop();

  for (const key of [first, withPrevious]) {
    const { exitCode, output, errors } = await runMain(['--reencrypt'], { ...place, ...key });
    expect([exitCode, errors]).toEqual([0, 'encrypting tasks: 1\nencrypting task_logs: 1\n']);
    expect(output).toMatch(/^Everything is encrypted under key [0-9a-f]{12}; written anew: 1 tasks, 1 task_logs\n$/);
    expect(await findPlain(server.folder)).toEqual([]);
  }
  const encrypted = await ServerProcess.start({ ...place, ...second });
  await expectWork(encrypted, task_id);
  await encrypted.stop();

  expect(await runMain(['--decrypt'], { ...place, ...second })).toMatchObject({
    exitCode: 0,
    output: 'Everything is plain text; written anew: 1 tasks, 1 task_logs\n',
  });
  await server.start();
  await expectWork(server, task_id);
  for (const command of ['--reencrypt', '--decrypt']) {
    expect(await runMain([command], place)).toMatchObject({
      exitCode: 1,
      errors: `${command} needs database.encryption_key (APP_DATABASE_ENCRYPTION_KEY)\n`,
    });
  }
});

test('a value that was damaged is answered with the task and a request id, and the log has them, too', async () => {
  const server = await ServerProcess.start({ APP_DATABASE_ENCRYPTION_KEY: aKey() });
  const task_id = await work(server);
  await server.stop();
  const database = new DatabaseSync(server.databasePath);
  database.exec('UPDATE tasks SET prompt = result');
  database.close();
  await server.start();
  const { status, body } = await server.request('GET', `/api/v1/tasks/${task_id}`);
  const message = `the prompt of task ${task_id} cannot be decrypted: it was damaged, or moved here from another task`;
  expect([status, body.error]).toEqual([
    500,
    { code: 'INTERNAL_ERROR', message, details: { task_id, request_id: expect.any(String) } },
  ]);
  await expect.poll(() => server.output).toContain(message);
});

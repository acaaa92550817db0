import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { AcquiredTask, Task } from '@task-orchestrator/client';
import { expect, test } from 'vitest';
import { readTasks } from './support/all-tasks.ts';
import { runServer, ServerProcess } from './support/server-process.ts';
import { canMount, SmallDisk } from './support/small-disk.ts';
import { until } from './support/until.ts';

const MIB = 2 ** 20;
const PROMPT = 'x'.repeat(50_000);

test.runIf(canMount).for([{ wal: true }, { wal: false }])(
  'a full disk refuses writes and nothing else, loses nothing that was acknowledged, and heals by itself (%o)',
  async ({ wal }) => {
    const disk = SmallDisk.mount(6 * MIB, { ballastBytes: 3 * MIB });
    const path = join(disk.folder, 'tasks.db');
    const server = await ServerProcess.start({
      APP_DATABASE_URL: `sqlite://${path}`,
      APP_DATABASE_ENABLE_WAL_MODE: String(wal),
      // Were anything to go to temporary files, it would have to go here.
      SQLITE_TMPDIR: disk.folder,
    });
    const { task_id } = (await create(server, 'first')).body.data;
    const { body: acquired } = await acquire(server);
    const acknowledged = [task_id, ...(await fill(server)), ...(await fill(server, 100))];

    for (const [method, route, body] of [
      ['POST', '/api/v1/tasks', { work_directory: '/full', prompt: PROMPT }],
      ['POST', `/api/v1/tasks/${task_id}/logs`, { ...leaseOf(acquired.data), entries: [{ text: PROMPT }] }],
      ['POST', `/api/v1/tasks/${task_id}/complete`, { ...leaseOf(acquired.data), result: { output: PROMPT } }],
    ] as const) {
      const refused = await server.request(method, route, body);
      expect(refused).toMatchObject({
        status: 503,
        body: {
          error: {
            code: 'UNAVAILABLE',
            message: 'the disk of the database is full (SQLITE_FULL); nothing was changed',
          },
        },
      });
      expect(refused.headers.get('retry-after')).toBe('1');
    }
    for (const route of [
      '/api/v1/tasks?limit=500',
      `/api/v1/tasks/${task_id}`,
      `/api/v1/tasks/${task_id}/events`,
      `/api/v1/tasks/${task_id}/logs`,
      '/api/v1/workers',
      '/api/v1/paths',
      '/api/v1/statistics',
    ]) {
      expect((await server.request('GET', route)).status, route).toBe(200);
    }
    expect(await server.text('/metrics')).toMatch(/^database_writable 0$/m);
    expect(JSON.parse(await server.text('/health/ready'))).toEqual({
      status: 'ready',
      problem: 'the disk of the database is full (SQLITE_FULL)',
    });
    expect(JSON.parse(await server.text('/health'))).toMatchObject({
      status: 'degraded',
      components: { database: { healthy: true, problem: 'the disk of the database is full (SQLITE_FULL)' } },
    });

    disk.giveRoom();
    // Nobody writes: the server notices by itself.
    await until('writes', async () => /^database_writable 1$/m.test(await server.text('/metrics')));
    expect(JSON.parse(await server.text('/health/ready'))).toEqual({ status: 'ready' });
    // What failed so often meanwhile was told of once.
    expect(server.output.match(/"msg":"writes are refused"/g)).toHaveLength(1);
    expect(server.output).not.toContain('background work failed');
    await server.client().tasks.complete({ task_id, ...leaseOf(acquired.data), result: { output: PROMPT } });
    acknowledged.push((await create(server)).body.data.task_id);

    await server.kill();
    await server.start();
    const tasks = await readTasks(server.client());
    expect(acknowledged.filter((id) => !tasks.has(id))).toEqual([]);
    expect(tasks.get(task_id)).toMatchObject({ status: 'completed', result: { output: PROMPT } });
    expect(await server.stop()).toMatchObject({ exitCode: 0 });
    expect(integrityOf(path)).toBe('ok');
  },
);

test.runIf(canMount)('a write-ahead log that filled the disk goes into the database once there is room', async () => {
  const disk = SmallDisk.mount(44 * MIB, { ballastBytes: 20 * MIB });
  const path = join(disk.folder, 'tasks.db');
  const server = await ServerProcess.start({ APP_DATABASE_URL: `sqlite://${path}` });
  const acknowledged = await fill(server, 200_000);
  // Long enough to be brought into the database, which had no room to grow.
  expect(statSync(`${path}-wal`).size).toBeGreaterThan(4000 * 4096);
  const sizeWhenFull = statSync(path).size;
  disk.giveRoom();
  acknowledged.push((await until('room', () => createIfRoom(server, 200_000))).task_id);
  expect(statSync(path).size).toBeGreaterThan(sizeWhenFull);
  await server.stop();
  await server.start();
  const tasks = await readTasks(server.client());
  expect(acknowledged.filter((id) => !tasks.has(id))).toEqual([]);
  await server.stop();
  expect(integrityOf(path)).toBe('ok');
});

test.runIf(canMount)('a server that was killed on a full disk starts on it again, for reading', async () => {
  const disk = SmallDisk.mount(4 * MIB, { ballastBytes: MIB });
  const server = await ServerProcess.start({ APP_DATABASE_URL: `sqlite://${join(disk.folder, 'tasks.db')}` });
  const acknowledged = await fill(server);
  await server.kill();
  await server.start();
  const tasks = await readTasks(server.client());
  expect(acknowledged.filter((id) => !tasks.has(id))).toEqual([]);
  expect((await create(server)).status).toBe(503);
  disk.giveRoom();
  await until('room', () => createIfRoom(server));
});

test.runIf(canMount)('a log file on a full disk holds up nothing, and goes on when there is room', async () => {
  const disk = SmallDisk.mount(MIB, { ballastBytes: MIB - 16 * 4096 });
  const file = join(disk.folder, 'server.log');
  const server = await ServerProcess.start({ APP_LOGGING_FILE: file, APP_LOGGING_LEVEL: 'info' });
  const refused = () => server.request('GET', '/api/v1/tasks/nonsense');
  await until('a full log', async () => {
    await refused();
    return server.output.includes('the log cannot be written: ENOSPC');
  });
  await server.client().tasks.create({ work_directory: '/logged', prompt: 'on another disk' });
  const sizeWhenFull = statSync(file).size;
  disk.giveRoom();
  await until('lines', async () => {
    await refused();
    return statSync(file).size > sizeWhenFull;
  });
  expect(await server.stop()).toMatchObject({ exitCode: 0 });
  expect(readFileSync(file, 'utf8')).toMatch(/"msg":"stopped"\}\n$/);
});

test.runIf(canMount)(
  'a disk without room for an empty database keeps the server from starting, and is named',
  async () => {
    const disk = SmallDisk.mount(5 * 4096);
    const path = join(disk.folder, 'tasks.db');
    const { exitCode, errors } = await runServer({ APP_DATABASE_URL: `sqlite://${path}` });
    expect([exitCode, errors]).toEqual([1, expect.stringMatching(/^[^\n]*full[^\n]*\n$/)]);
    expect(errors).toContain(path);
  },
);

test.runIf(canMount)('a read-only disk keeps the server from starting, and is named', async () => {
  const disk = SmallDisk.mount(4 * MIB);
  const path = join(disk.folder, 'tasks.db');
  const server = await ServerProcess.start({ APP_DATABASE_URL: `sqlite://${path}` });
  await server.stop();
  disk.makeReadOnly();
  const { exitCode, errors } = await runServer({ APP_DATABASE_URL: `sqlite://${path}` });
  expect(exitCode).toBe(1);
  expect(errors).toMatch(new RegExp(`^[^\\n]*${path}[^\\n]*\\n$`));
});

test.runIf(process.platform === 'linux')(
  'a disk that answers writes with an error refuses them with its code, and reads go on',
  async () => {
    const server = await ServerProcess.start();
    const { pid } = server;
    await create(server);
    // No file may grow beyond this: the system answers EFBIG, which to SQLite is an I/O error.
    setFileSizeLimit(pid, '65536');
    const acknowledged = await fill(server, PROMPT.length, 'SQLITE_IOERR_WRITE');
    expect((await server.request('GET', '/api/v1/tasks')).status).toBe(200);
    setFileSizeLimit(pid, 'unlimited');
    acknowledged.push((await until('writes', () => createIfRoom(server))).task_id);
    await server.kill();
    await server.start();
    const tasks = await readTasks(server.client());
    expect(acknowledged.filter((id) => !tasks.has(id))).toEqual([]);
  },
);

function create(server: ServerProcess, prompt = PROMPT) {
  return server.request<Task>('POST', '/api/v1/tasks', { work_directory: '/full', prompt });
}

async function createIfRoom(server: ServerProcess, length = PROMPT.length): Promise<Task | null> {
  const { status, body } = await create(server, 'x'.repeat(length));
  return status === 200 ? body.data : null;
}

/** Creates tasks until they are refused; answers those that were acknowledged. */
async function fill(server: ServerProcess, length = PROMPT.length, code = 'SQLITE_FULL'): Promise<string[]> {
  const acknowledged: string[] = [];
  for (;;) {
    const { status, body } = await create(server, 'x'.repeat(length));
    if (status !== 200) {
      expect([status, body.error?.message]).toEqual([503, expect.stringContaining(`(${code}); nothing was changed`)]);
      return acknowledged;
    }
    acknowledged.push(body.data.task_id);
  }
}

async function acquire(server: ServerProcess) {
  return server.request<AcquiredTask>('GET', '/api/v1/tasks/next?work_path=/full&worker_id=w');
}

function leaseOf({ lease_token }: AcquiredTask): { lease_token: string } {
  return { lease_token };
}

function setFileSizeLimit(pid: number, bytes: string): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`]);
}

function integrityOf(path: string): unknown {
  const database = new DatabaseSync(path);
  const row = database.prepare('PRAGMA integrity_check').get();
  database.close();
  return row?.['integrity_check'];
}

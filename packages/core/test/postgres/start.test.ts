import { readdir } from 'node:fs/promises';
import { openCore } from '@task-orchestrator/core';
import { expect, test } from 'vitest';
import { aTask } from '../builders.ts';
import { POLICY } from '../engines.ts';
import { withClient } from '../postgres-server.ts';
import { takeNewTestDatabase, takeTestDatabase } from '../test-database.ts';
import { openReplica } from './replicas.ts';

const migrations = (await readdir(new URL('../../../../migrations', import.meta.url))).filter((file) =>
  file.endsWith('.sql'),
);

test('ten servers that start at once on an empty database migrate it once', async () => {
  const url = await takeNewTestDatabase();
  const replicas = await Promise.all(
    Array.from({ length: 10 }, () => openReplica(url, { database: { maxConnections: 2 } })),
  );
  const { rows } = await withClient(url, (client) =>
    client.query('SELECT version FROM schema_migrations ORDER BY version'),
  );
  expect(rows.map(({ version }) => version)).toEqual(migrations.map((file) => Number(file.slice(0, 4))));
  const task = await replicas[0]!.core.createTask(aTask());
  expect((await replicas[9]!.core.getTask(task)).task_id).toBe(task.task_id);
  expect(replicas.flatMap(({ errors }) => errors)).toEqual([]);
});

test('of ten servers that start at once, one creates the first key', async () => {
  const url = await takeTestDatabase();
  const replicas = await Promise.all(
    Array.from({ length: 10 }, () => openReplica(url, { database: { maxConnections: 2 } })),
  );
  const keys = await Promise.all(
    replicas.map(({ core }, index) => core.keys.insertFirst({ name: 'admin', hash: `hash-${index}` })),
  );
  expect(keys.filter((key) => key !== null)).toHaveLength(1);
  expect(await replicas[0]!.core.keys.count()).toBe(1);
});

async function pretendNewerSchema(url: string, versionsAhead: number): Promise<void> {
  const { close } = await openReplica(url, { background: false });
  await close();
  await withClient(url, (client) =>
    client.query("INSERT INTO schema_migrations SELECT max(version) + $1::int, 'newer', 0 FROM schema_migrations", [
      versionsAhead,
    ]),
  );
}

test('a server one schema version behind starts and works', async () => {
  const url = await takeNewTestDatabase();
  await pretendNewerSchema(url, 1);
  const { core } = await openReplica(url);
  expect((await core.createTask(aTask())).status).toBe('waiting');
});

test('a server two schema versions behind refuses to start', async () => {
  const url = await takeNewTestDatabase();
  await pretendNewerSchema(url, 2);
  await expect(openReplica(url)).rejects.toThrow(/newer than this server's \d+: run a newer server/);
});

test('a database that nobody answers for is waited for, and then named in one line', async () => {
  const nowhere = new URL(await takeTestDatabase());
  nowhere.port = '1';
  const began = performance.now();
  const opening = openCore({
    database: {
      engine: 'postgres',
      url: nowhere.href,
      durability: 'full',
      maxConnections: 5,
      minConnections: 0,
      connectionTimeoutSeconds: 1,
      idleTimeoutSeconds: 60,
    },
    task: POLICY,
  });
  await expect(opening).rejects.toThrow(
    /^PostgreSQL at 127\.0\.0\.1:1\/\S+ cannot be reached within 1 s: .*ECONNREFUSED/,
  );
  expect(performance.now() - began).toBeGreaterThan(1_000);
});

test('a database that does not exist is refused at once, by name', async () => {
  const url = `${await takeTestDatabase()}_not`;
  await expect(openReplica(url)).rejects.toThrow(
    /^PostgreSQL at \S+ cannot be used: database "core_\S+_not" does not exist/,
  );
});

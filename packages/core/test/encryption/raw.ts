import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { DatabaseOptions, EncryptionKeys } from '@task-orchestrator/core';
import SqliteDatabase from 'better-sqlite3';
import { withClient } from '../postgres-server.ts';

export function aKey(): Uint8Array {
  return randomBytes(32);
}

export function keys(current: Uint8Array | null, ...previous: Uint8Array[]): EncryptionKeys {
  return { current, previous };
}

/** Asks the database itself, past the service. */
export async function query(database: DatabaseOptions, text: string): Promise<Record<string, unknown>[]> {
  if (database.engine === 'postgres')
    return withClient(database.url, async (client) => (await client.query(text)).rows);
  // Two builds of SQLite in one process would undo each other's locks.
  const file = new SqliteDatabase(database.path);
  try {
    const statement = file.prepare(text);
    if (statement.reader) return statement.all() as Record<string, unknown>[];
    statement.run();
    return [];
  } finally {
    file.close();
  }
}

/** Everything that is stored, as somebody sees it who has the disk: the files of SQLite, the rows of PostgreSQL. */
export async function readStored(database: DatabaseOptions): Promise<string> {
  if (database.engine === 'sqlite') {
    const names = (await readdir(dirname(database.path))).filter((name) => name.startsWith(basename(database.path)));
    const files = await Promise.all(names.map((name) => readFile(join(dirname(database.path), name), 'latin1')));
    return files.join('\n');
  }
  const tables = await query(database, "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'");
  const rows = await Promise.all(
    tables.map(({ name }) => query(database, `SELECT row_to_json(t)::text AS row FROM ${String(name)} t`)),
  );
  return rows
    .flat()
    .map(({ row }) => row)
    .join('\n');
}

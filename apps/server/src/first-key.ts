import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ApiKeys } from '@task-orchestrator/core';
import { createSecret, hashSecret } from './key-secret.ts';

export interface FirstKey {
  key: string;
  /** Where it was written; `undefined` when the database is no file. */
  file: string | undefined;
}

/**
 * The admin key of a service that has no key yet; nothing when there is one.
 * @param databasePath of a SQLite file: `admin.key` (0600) is written beside it.
 */
export async function createFirstKey(options: {
  keys: ApiKeys;
  databasePath: string | undefined;
}): Promise<FirstKey | undefined> {
  const { keys, databasePath } = options;
  if ((await keys.count()) > 0) return undefined;
  const key = createSecret();
  const file = databasePath === undefined ? undefined : join(dirname(databasePath), 'admin.key');
  // The file first: a crash in between leaves a useless file, not a service that nobody can enter.
  if (file !== undefined) writeSecret(file, key);
  const inserted = await keys.insertFirst({ name: 'admin', hash: hashSecret(key) });
  // Another server on the same database was first.
  return inserted === null ? undefined : { key, file };
}

function writeSecret(file: string, secret: string): void {
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  // The mode above holds for new files only.
  chmodSync(file, 0o600);
}
